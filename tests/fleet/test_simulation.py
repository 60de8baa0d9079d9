"""The simulation of a fleet: its figures in the documentation, and no second acceptance."""

from __future__ import annotations

from processes import ROOT, load_example


def test_figures_of_the_simulation_stand_in_the_documentation() -> None:
    simulation = load_example("fleet_simulation")
    table = simulation.table(9846)
    assert table in (ROOT / "docs" / "fleet.md").read_text()
    *careful, plain = [int(row.split("|")[3]) for row in table.splitlines()[2:]]
    assert careful == [0, 0, 0, 0]
    assert plain > 0  # the simulation would notice
