"""The inventories that links to other projects' documentation are resolved with.

A build must not depend on the network. So the inventories of Python and of cryptography are read
from Debian's packages ``python3-doc`` and ``python-cryptography-doc`` if these are installed, and
fetched otherwise. There is no such package for trio, so this module lists the names of trio that
the pages use, and the pages of trio's manual that have them.
"""

from __future__ import annotations

from pathlib import Path

from sphobjinv import DataObjStr, Inventory, compress, writebytes

TRIO = "https://trio.readthedocs.io/en/stable/"

TRIO_PAGES = {
    "reference-core": {
        "exception": [
            "trio.BusyResourceError",
            "trio.BrokenResourceError",
            "trio.ClosedResourceError",
            "trio.EndOfChannel",
            "trio.TooSlowError",
        ],
    },
    "reference-io": {
        "exception": ["trio.NeedHandshakeError"],
        "class": [
            "trio.SSLListener",
            "trio.SSLStream",
            "trio.SocketStream",
            "trio.abc.HalfCloseableStream",
            "trio.abc.Listener",
            "trio.abc.Stream",
        ],
        "function": [
            "trio.open_ssl_over_tcp_listeners",
            "trio.open_ssl_over_tcp_stream",
            "trio.open_tcp_listeners",
            "trio.open_tcp_stream",
            "trio.serve_listeners",
            "trio.serve_ssl_over_tcp",
        ],
    },
}

DEBIAN = {
    "python": ("https://docs.python.org/3/", "python3/html/objects.inv"),
    "cryptography": (
        "https://cryptography.io/en/latest/",
        "python-cryptography-doc/html/objects.inv",
    ),
}


def inventories(folder: Path) -> dict[str, tuple[str, tuple[str | None, ...]]]:
    """Return Sphinx's ``intersphinx_mapping``; the inventory of trio is written to ``folder``."""
    folder.mkdir(exist_ok=True)
    path = folder / "trio.inv"
    write_trio_inventory(path)
    mapping: dict[str, tuple[str, tuple[str | None, ...]]] = {"trio": (TRIO, (str(path),))}
    for name, (address, installed) in DEBIAN.items():
        local = Path("/usr/share/doc") / installed
        mapping[name] = (address, (str(local) if local.exists() else None,))
    return mapping


def write_trio_inventory(path: Path) -> None:
    """Write an inventory of ``TRIO_PAGES`` to ``path``."""
    inventory = Inventory()
    inventory.project, inventory.version = "trio", ""
    for page, kinds in TRIO_PAGES.items():
        for kind, names in kinds.items():
            inventory.objects += [
                DataObjStr(
                    name=name,
                    domain="py",
                    role=kind,
                    priority="1",
                    uri=f"{page}.html#$",
                    dispname="-",
                )
                for name in names
            ]
    writebytes(str(path), compress(inventory.data_file()))
