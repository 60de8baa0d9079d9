"""``trio-tlsx check``: a report about a server, with a status for monitoring."""

from __future__ import annotations

import json
from enum import IntEnum
from typing import NamedTuple

import click
from rich.console import Console

from ..pki.describe import date
from .dialing import Destination
from .failures import FAILURES, describe, single
from .probes import Findings, ProbeOffer, probe
from .report import Facts, certificate_facts, print_facts, print_heading

__all__ = ["Limits", "Status", "check"]


class Status(IntEnum):
    """The exit status; the numbers are those of monitoring plugins."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


class Limits(NamedTuple):
    """The days before a certificate's end from which on it is a warning, or critical."""

    warning: int
    critical: int


async def check(
    target: Destination,
    server_name: str,
    offer: ProbeOffer,
    limits: Limits,
    as_json: bool,
) -> Status:
    """Probe a server and print the report. The first line has the status."""
    try:
        findings = await probe(target, server_name, offer)
    except (*FAILURES, BaseExceptionGroup) as error:
        cause = single(error)
        if not isinstance(cause, FAILURES):
            raise
        reasons = [describe(cause)]
        if as_json:
            report = {"peer": str(target), "status": Status.CRITICAL.name, "reasons": reasons}
            click.echo(json.dumps(report))
        else:
            click.echo(f"{Status.CRITICAL.name}: {reasons[0]}")
        return Status.CRITICAL
    status, reasons = _status_of(findings, limits)
    if as_json:
        click.echo(json.dumps(_as_json(target, findings, status, reasons)))
    else:
        _print(target, findings, status, reasons)
    return status


def _status_of(findings: Findings, limits: Limits) -> tuple[Status, list[str]]:
    """Return the status, and the reasons if it is not OK."""
    critical = [fault for fault in (findings.fault, findings.ocsp_fault) if fault]
    if critical:
        return Status.CRITICAL, critical
    days = findings.days_left
    if days >= limits.warning:
        return Status.OK, []
    status = Status.CRITICAL if days < limits.critical else Status.WARNING
    return status, [f"the certificate expires in {_days(days)}"]


def _days(number: int) -> str:
    return f"{number} day{'s'[: number != 1]}"


def _as_json(
    target: Destination, findings: Findings, status: Status, reasons: list[str]
) -> dict[str, object]:
    negotiated = findings.negotiated
    return {
        "peer": str(target),
        "status": status.name,
        "reasons": reasons,
        "server_name": negotiated.server_name,
        "versions": findings.versions,
        "cipher_suite": negotiated.cipher_suite,
        "group": negotiated.group,
        "groups": findings.groups,
        "post_quantum": bool(findings.post_quantum),
        "signature_scheme": negotiated.signature_scheme,
        "alpn_protocol": negotiated.alpn_protocol,
        "handshake_milliseconds": round(findings.milliseconds, 1),
        "verified": findings.fault is None,
        "days_left": findings.days_left,
        "ocsp_stapled": findings.ocsp_stapled,
        "resumption": findings.resumption,
        "early_data_bytes": findings.early_data,
        "certificates": [certificate_facts(c) for c in negotiated.peer_certificates],
    }


def _print(target: Destination, findings: Findings, status: Status, reasons: list[str]) -> None:
    console = Console(highlight=False)
    negotiated = findings.negotiated
    if reasons:
        summary = "; ".join(reasons)
    else:
        summary = (
            f"{negotiated.version} with {negotiated.group}, "
            f"certificate valid for {_days(findings.days_left)}"
        )
    print_heading(console, f"{status.name}: {target}: {summary}")
    facts: Facts = {
        "versions": findings.versions,
        "groups": findings.groups,
        "post_quantum": findings.post_quantum or False,
        "cipher_suite": negotiated.cipher_suite,
        "signature_scheme": negotiated.signature_scheme,
        "alpn_protocol": negotiated.alpn_protocol,
        "handshake": f"{findings.milliseconds:,.0f} ms, with {negotiated.group}",
        "verified": findings.fault is None,
        "valid_until": f"{date(findings.expires_at)} ({_days(findings.days_left)} left)",
        "ocsp": _ocsp(findings),
        "resumption": "no ticket" if findings.resumption is None else findings.resumption,
        "early_data": f"up to {findings.early_data:,} bytes" if findings.early_data else False,
    }
    print_facts(console, facts)
    for index, certificate in enumerate(negotiated.peer_certificates):
        print_heading(console, f"certificate {index}")
        print_facts(console, certificate_facts(certificate))


def _ocsp(findings: Findings) -> str:
    if not findings.ocsp_stapled:
        return "not stapled"
    if findings.fault is not None:
        return "stapled, not verified"
    return "stapled, rejected" if findings.ocsp_fault else "stapled, good"
