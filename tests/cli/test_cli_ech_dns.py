"""``connect --ech dns``, and the example, with a DNS server on loopback."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from dns.rcode import Rcode
from dns_server import HOST, DNSServer, ech_parameter, question, running_dns
from processes import CLI, EXAMPLES, Result, run_program, running

from trio_tlsx import ECHKey
from trio_tlsx.testing import CA, write_pem_files

NAME = "private.example"
PUBLIC_NAME = "public.example"


@asynccontextmanager
async def serving(ca: CA, folder: Path) -> AsyncGenerator[tuple[DNSServer, int]]:
    """A TLS server and a DNS server with its records; yield the latter and the TLS port."""
    cert, key_file = write_pem_files(ca.issue(NAME, PUBLIC_NAME), folder)
    key = ECHKey.generate(PUBLIC_NAME)
    ech_file = folder / "ech.pem"
    ech_file.write_bytes(key.to_pem())
    options = ["--port", "0", "--cert", cert, "--key", key_file, "--ech-key", ech_file]
    async with running_dns() as dns, running(*CLI, "serve", *options) as server:
        dns.add(NAME, "A", HOST)
        dns.add(NAME, "HTTPS", f"1 . port={server.port} {ech_parameter(key.config_list)}")
        yield dns, server.port


def connect(ca_file: Path, dns: DNSServer, *options: str) -> list[str | Path]:
    return [
        *CLI,
        "connect",
        *("--ech", "dns", "--dns-server", f"{HOST}:{dns.port}", "--ca", ca_file),
        *options,
    ]


async def test_configurations_from_dns(ca: CA, ca_file: Path, tmp_path: Path) -> None:
    async with serving(ca, tmp_path) as (dns, port):
        result = await run_program(connect(ca_file, dns, "--json", NAME))
        assert result.stderr == b""
        assert json.loads(result.stdout)["ech_accepted"] is True
        # The records of another port are others, and there are none.
        result = await run_program(connect(ca_file, dns, f"{NAME}:{port}"))
        assert result.status == 1
        assert b"no ECH configuration of private.example" in result.stderr
        dns.rcodes[question(NAME, "HTTPS")] = Rcode.SERVFAIL
        result = await run_program(connect(ca_file, dns, NAME))
        assert result.status == 1
        assert b"cannot connect to private.example:443: DNS lookup of the HTTPS" in result.stderr
        assert result.stderr.count(b"\n") == 1


async def test_certificate_of_another_name_is_rejected(
    ca: CA, ca_file: Path, tmp_path: Path
) -> None:
    async with serving(ca, tmp_path) as (dns, _):
        dns.rrsets[question("other.example", "HTTPS")] = dns.rrsets[question(NAME, "HTTPS")]
        dns.add("other.example", "HTTPS", f"0 {NAME}.")
        result = await run_program(connect(ca_file, dns, "other.example"))
    assert result.status == 1
    assert b"handshake with other.example:443 failed" in result.stderr
    assert b"other.example" in result.stderr


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--ech", "dns", "--proxy", "http://127.0.0.1:8080"], "--ech dns and --proxy exclude"),
        (["--ech", "dns", "--starttls", "smtp"], "--ech dns and --starttls exclude"),
        (["--ech", "dns", "--server-name", "a.example"], "--ech dns and --server-name exclude"),
        (["--dns-server", HOST], "--dns-server is for --ech dns"),
        (["--ech", "dns", "--dns-server", "dns.example"], "'dns.example' is no IP address"),
        (["--ech", "dns", "--dns-server", "::1"], "needs brackets around the IPv6 address"),
        (["--ech", "dns", "--tls-max", "1.2"], "needs TLS 1.3"),
    ],
)
async def test_options_that_exclude_each_other(options: list[str], error: str) -> None:
    result = await run_program([*CLI, "connect", *options, NAME])
    assert result.status in (1, 2)
    assert error in result.stderr.decode()
    assert "Traceback" not in result.stderr.decode()


async def test_without_the_extra_the_command_names_it() -> None:
    program = (
        "import sys; sys.modules['dns'] = None; import trio_tlsx.cli as c; sys.exit(c.main())"
    )
    command = [sys.executable, "-c", program, "connect", "--ech", "dns", NAME]
    result = await run_program(command)
    assert result.status == 1
    assert b"--ech dns: the package dns" in result.stderr
    assert b"pip install 'trio-tlsx[dns]'" in result.stderr
    assert b"Traceback" not in result.stderr


async def test_example_service_in_dns(ca: CA, ca_file: Path, tmp_path: Path) -> None:
    async with serving(ca, tmp_path) as (dns, _):
        program = [sys.executable, EXAMPLES / "service_in_dns.py", NAME, "443", ca_file]
        result = await run_program([*program, HOST, str(dns.port)])
    assert result == Result(0, b"name hidden: True\nb'hello'\n", b"")
