"""Chromium finds the ECH configuration of a server in DNS over HTTPS, and hides the name."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from dns_server import DNSServer, ech_parameter
from processes import CLI, peer_program, run_program, running

import trio_tlsx
from trio_tlsx import ECHKey, ServerConfig, TLSStream
from trio_tlsx.pki.pinning import spki_pin
from trio_tlsx.testing import CA, write_pem_files

HOST = "127.0.0.1"
NAME, PUBLIC_NAME = "private.example", "public.example"
PATH = "/dns-query"

authority = CA()
certificate = authority.issue(NAME, PUBLIC_NAME, key_type="P-256")
resolver_certificate = authority.issue(HOST, key_type="P-256")


@pytest.fixture
def chromium() -> str:
    return peer_program("chromium")


async def answer_queries(records: DNSServer, stream: TLSStream[trio.SocketStream]) -> None:
    """Answer DNS queries over HTTP/1.1 (RFC 8484)."""
    received = b""
    async for data in stream:
        received += data
        while (
            request := re.match(rb"(GET|POST) (\S+) .*?\r\n\r\n", received, re.DOTALL)
        ) is not None:
            rest = received[request.end() :]
            if request[1] == b"POST":
                length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", request[0])
                assert length is not None
                if len(rest) < int(length[1]):
                    break
                query, rest = rest[: int(length[1])], rest[int(length[1]) :]
            else:
                text = request[2].partition(b"dns=")[2]
                query = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
            received = rest
            answer = records.answer(query, "HTTPS")
            assert answer is not None
            head = f"Content-Type: application/dns-message\r\nContent-Length: {len(answer)}"
            await stream.send_all(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + answer)


@asynccontextmanager
async def running_resolver(records: DNSServer) -> AsyncGenerator[int]:
    """A resolver over HTTPS, on a free port."""
    config = ServerConfig(credentials=resolver_certificate, alpn_protocols=["http/1.1"])
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(
            partial(
                trio_tlsx.serve_tls_over_tcp,
                partial(answer_queries, records),
                0,
                config,
                host=HOST,
            )
        )
        yield listener.transport_listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def load(chromium: str, resolver_port: int, port: int, profile: Path) -> dict[str, str]:
    """The table of the page that the browser loads."""
    template = f"https://{HOST}:{resolver_port}{PATH}"
    profile.mkdir()
    state = {"dns_over_https": {"mode": "secure", "templates": template}}
    (profile / "Local State").write_text(json.dumps(state))
    pins = ",".join(
        spki_pin(each.chain[0]).removeprefix("sha256//")
        for each in (certificate, resolver_certificate)
    )
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
        "--no-first-run", "--disable-background-networking", "--disable-component-update",
        "--disable-sync", f"--user-data-dir={profile}", "--dump-dom",
        f"--ignore-certificate-errors-spki-list={pins}", f"https://{NAME}:{port}/",
    ]  # fmt: skip
    result = await run_program(command)
    rows: list[tuple[str, str]] = re.findall(
        r"<th>(.*?)</th><td>(.*?)</td>", result.stdout.decode()
    )
    return {label: html.unescape(value) for label, value in rows}


@pytest.mark.parametrize("published", ["current", "stale", "none"])
async def test_chromium_hides_the_name(chromium: str, tmp_path: Path, published: str) -> None:
    key = ECHKey.generate(PUBLIC_NAME)
    configs = {
        "current": key.config_list,
        "stale": ECHKey.generate(PUBLIC_NAME).config_list,
        "none": None,
    }[published]
    (tmp_path / "ech.pem").write_bytes(key.to_pem())
    cert, private_key = write_pem_files(certificate, tmp_path)
    serve = ("serve", "--port", "0", "--http", "--ech-key", tmp_path / "ech.pem")
    records = DNSServer()
    async with (
        running(*CLI, *serve, "--cert", cert, "--key", private_key) as server,
        running_resolver(records) as resolver_port,
    ):
        ech = "" if configs is None else ech_parameter(configs)
        records.add(NAME, "A", HOST)
        records.add(f"_{server.port}._https.{NAME}", "HTTPS", f"1 {NAME}. alpn=http/1.1 {ech}")
        rows = await load(chromium, resolver_port, server.port, tmp_path / "profile")
    assert rows["Server name"] == NAME
    assert rows["Name hidden"] == ("no" if configs is None else "yes")
