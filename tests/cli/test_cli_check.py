"""``trio-tlsx check``: its report and its exit status."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import trio
from ocsp_responses import GOOD, REVOKED, response
from processes import CLI, run_program, running

from trio_tlsx.cli import probes
from trio_tlsx.cli.check import Limits, Status, check
from trio_tlsx.cli.dialing import Destination
from trio_tlsx.cli.options import KeyFiles
from trio_tlsx.cli.probes import ProbeOffer
from trio_tlsx.config.server import MAX_EARLY_DATA_ACCEPTED, ServerConfig
from trio_tlsx.io.listener import serve_tls_over_tcp
from trio_tlsx.io.stream import TLSStream
from trio_tlsx.pki.trust import TrustStore
from trio_tlsx.testing import CA, write_pem_files

Files: TypeAlias = tuple[Path, Path]

LIMITS = Limits(warning=21, critical=7)
BOTH = ("TLSv1.3", "TLSv1.2")


async def wait_for_the_end(stream: TLSStream[trio.SocketStream]) -> None:
    async with stream:
        async for _ in stream:
            pass


@asynccontextmanager
async def server(config: ServerConfig) -> AsyncGenerator[Destination, None]:
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(
            partial(serve_tls_over_tcp, wait_for_the_end, 0, config, host="127.0.0.1")
        )
        yield Destination("127.0.0.1", listener.port)
        nursery.cancel_scope.cancel()


async def report_of(
    capsys: pytest.CaptureFixture[str],
    target: Destination,
    trust: TrustStore,
    limits: Limits = LIMITS,
) -> tuple[Status, dict[str, Any]]:
    offer = ProbeOffer(trust, ("h2",), BOTH)
    status = await check(target, "127.0.0.1", offer, limits, as_json=True)
    return status, json.loads(capsys.readouterr().out)


async def test_all_that_a_server_has(ca: CA, capsys: pytest.CaptureFixture[str]) -> None:
    config = ServerConfig(
        credentials=ca.issue("127.0.0.1"),
        alpn_protocols=["h2"],
        groups=["x25519", "X25519MLKEM768"],
        tickets_after_handshake=True,
        max_early_data_size=MAX_EARLY_DATA_ACCEPTED,
    )
    async with server(config) as target:
        status, report = await report_of(capsys, target, ca.trust)
    (certificate,) = report.pop("certificates")
    assert certificate["names"] == ["127.0.0.1"]
    assert report.pop("handshake_milliseconds") > 0
    assert status is Status.OK
    assert report == {
        "peer": str(target),
        "status": "OK",
        "reasons": [],
        "server_name": "127.0.0.1",
        "versions": ["TLSv1.3", "TLSv1.2"],
        "cipher_suite": "TLS_AES_128_GCM_SHA256",
        "group": "x25519",
        "groups": ["X25519MLKEM768", "x25519"],
        "post_quantum": True,
        "signature_scheme": "ecdsa_secp256r1_sha256",
        "alpn_protocol": "h2",
        "verified": True,
        "days_left": 29,
        "ocsp_stapled": False,
        "resumption": True,
        "early_data_bytes": MAX_EARLY_DATA_ACCEPTED,
    }


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        (Limits(29, 7), Status.OK),
        (Limits(30, 7), Status.WARNING),
        (Limits(30, 29), Status.WARNING),
        (Limits(30, 30), Status.CRITICAL),
    ],
)
async def test_days_left(
    ca: CA,
    limits: Limits,
    status: Status,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probes, "TICKET_SECONDS", 0)
    async with server(
        ServerConfig(credentials=ca.issue("127.0.0.1"), alpn_protocols=["h2"])
    ) as target:
        found, report = await report_of(capsys, target, ca.trust, limits)
    assert found is status
    assert report["status"] == status.name
    assert report["resumption"] is None
    reasons = [] if status is Status.OK else ["the certificate expires in 29 days"]
    assert report["reasons"] == reasons


@pytest.mark.parametrize(("answer", "status"), [(GOOD, Status.OK), (REVOKED, Status.CRITICAL)])
async def test_stapled_ocsp(
    ca: CA,
    answer: Any,
    status: Status,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probes, "TICKET_SECONDS", 0)
    credentials = ca.issue("127.0.0.1")
    credentials = credentials.stapling(response(ca, credentials.chain[0], answer))
    async with server(ServerConfig(credentials=credentials)) as target:
        found = await check(
            target, "127.0.0.1", ProbeOffer(ca.trust, (), BOTH), LIMITS, as_json=False
        )
    text = capsys.readouterr().out
    assert found is status
    if status is Status.OK:
        assert "stapled, good" in text
    else:
        assert "stapled, rejected" in text
        assert "revoked" in text.splitlines()[0]


async def test_rejected_certificate_is_critical_and_described(
    ca: CA, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "TICKET_SECONDS", 0)
    async with server(ServerConfig(credentials=ca.issue("127.0.0.1"))) as target:
        status = await check(
            target, "127.0.0.1", ProbeOffer(CA().trust, (), BOTH), LIMITS, as_json=False
        )
    first, *lines = capsys.readouterr().out.splitlines()
    assert status is Status.CRITICAL
    assert first.startswith(f"CRITICAL: {target}: ")
    assert first.endswith("; to trust it, give --ca FILE")
    assert "  verified      no" in lines
    assert "  post-quantum  X25519MLKEM768" in lines
    assert "  resumption    no ticket" in lines
    assert "  subject       CN=127.0.0.1" in lines


@pytest.mark.parametrize("version", BOTH)
async def test_server_that_requires_a_client_certificate(
    ca: CA, tmp_path: Path, version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ServerConfig(
        credentials=ca.issue("127.0.0.1"),
        client_auth="required",
        client_trust=ca.trust,
        versions=[version],
    )
    (tmp_path / "foreign").mkdir()
    files = KeyFiles(*write_pem_files(ca.issue("client"), tmp_path), None)
    foreign = KeyFiles(*write_pem_files(CA().issue("client"), tmp_path / "foreign"), None)
    async with server(config) as target:

        async def reasons(files: KeyFiles | None) -> list[str]:
            offer = ProbeOffer(ca.trust, (), BOTH, files)
            await check(target, "127.0.0.1", offer, LIMITS, as_json=True)
            report = json.loads(capsys.readouterr().out)
            assert report.get("versions", [version]) == [version]
            return report["reasons"]

        (missing,) = await reasons(None)
        (rejected,) = await reasons(foreign)
        assert await reasons(files) == []
    # in TLS 1.2 the alert does not tell a missing certificate from other faults
    advice = "; give a client certificate with --cert FILE --key FILE"
    assert missing.endswith(advice) or (version == "TLSv1.2" and "handshake_failure" in missing)
    assert rejected.endswith("; the one of --cert must come from a CA that the server trusts")


# As a user runs it, against OpenSSL


async def test_check_of_openssl(openssl: str, ca: CA, tmp_path: Path) -> None:
    cert, key = write_pem_files(ca.issue("localhost"), tmp_path)
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(ca.pem)
    command = [openssl, "s_server", "-accept", "127.0.0.1:0", "-cert", cert, "-key", key, "-www"]
    async with running(*command, says=b"ACCEPT") as s_server:
        result = await run_program(
            [*CLI, "check", f"localhost:{s_server.port}", "--ca", ca_file, "--warning", "1000"]
        )
    first, *lines = result.stdout.decode().splitlines()
    assert result.stderr == b""
    assert result.status == 1
    assert first.startswith("WARNING: localhost:")
    assert first.endswith("the certificate expires in 29 days")
    assert "  versions      TLSv1.3, TLSv1.2" in lines
    assert "  verified      yes" in lines
    assert "  resumption    yes" in lines
    assert "  early data    no" in lines
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("key_type", ["P-256", "RSA-2048"])
async def test_check_of_a_server_without_tls_1_3(
    openssl: str, ca: CA, ca_file: Path, tmp_path: Path, key_type: str
) -> None:
    cert, key = write_pem_files(ca.issue("localhost", key_type=key_type), tmp_path)
    command = [openssl, "s_server", "-accept", "127.0.0.1:0", "-cert", cert, "-key", key, "-www"]
    async with running(*command, "-tls1_2", says=b"ACCEPT") as s_server:
        check = [*CLI, "check", f"localhost:{s_server.port}", "--ca", ca_file]
        result = await run_program(check)
        refused = await run_program([*check, "--tls-min", "1.3"])
    first, *lines = result.stdout.decode().splitlines()
    assert result.status == 0
    assert first.startswith("OK: localhost:")
    assert "TLSv1.2 with x25519, certificate valid for" in first
    assert "  versions      TLSv1.2" in lines
    assert "  key exchange  x25519, secp256r1, secp384r1, secp521r1" in lines
    assert "  post-quantum  no" in lines
    assert "  resumption    yes" in lines
    assert refused.status == 2
    (line,) = refused.stdout.decode().splitlines()
    assert line.startswith("CRITICAL: handshake with localhost:")
    assert line.endswith("; it accepts TLSv1.2")


async def test_check_with_the_older_version(openssl: str, ca_file: Path, files: Files) -> None:
    cert, key = files
    command = [openssl, "s_server", "-accept", "127.0.0.1:0", "-cert", cert, "-key", key, "-www"]
    async with running(*command, says=b"ACCEPT") as s_server:
        target = f"localhost:{s_server.port}"
        result = await run_program([*CLI, "check", target, "--ca", ca_file, "--tls-max", "1.2"])
    first, *lines = result.stdout.decode().splitlines()
    assert "TLSv1.2 with x25519" in first
    assert "  versions      TLSv1.3, TLSv1.2" in lines


@pytest.mark.parametrize("options", [[], ["--json"]])
async def test_check_of_no_server(options: list[str]) -> None:
    result = await run_program([*CLI, "check", "127.0.0.1:1", *options])
    why = "cannot connect to 127.0.0.1:1: Connection refused"
    assert (result.status, result.stderr) == (2, b"")
    if options:
        assert json.loads(result.stdout)["reasons"] == [why]
    else:
        assert result.stdout.decode() == f"CRITICAL: {why}\n"
