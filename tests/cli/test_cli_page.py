"""The page of ``trio-tlsx serve --http``: its content in other programs, and its layout."""

from __future__ import annotations

import html
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import CLI, Result, Server, peer_program, run_program, running

from trio_tlsx.testing import CA, write_pem_files

SERVE = (*CLI, "serve", "--port", "0")
CONNECT = (*CLI, "connect")
SELF_SIGNED_HTTP = (*SERVE, "--self-signed", "--http")

#: The colors of the page's ground, in light and in dark mode.
GROUNDS = {"light": (0xF3, 0xF5, 0xF8), "dark": (0x0F, 0x14, 0x1B)}


async def connect_to(server: Server, *options: str | Path, stdin: bytes = b"") -> Result:
    return await run_program([*CONNECT, f"127.0.0.1:{server.port}", *options], stdin)


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"200 OK"),
        (b"GET /anything HTTP/1.0\r\n\r\n", b"200 OK"),
        (b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"405 Method Not Allowed"),
        (b"hello\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\n", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\nX: " + bytes(2**14) + b"\r\n\r\n", b"400 Bad Request"),
    ],
)
async def test_serve_http_answers_one_request(request_head: bytes, status: bytes) -> None:
    async with running(*SELF_SIGNED_HTTP) as server:
        result = await connect_to(server, "--insecure", "--quiet", stdin=request_head)
    assert result.stderr == b""
    head, _, body = result.stdout.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status + b"\r\n")
    assert f"Content-Length: {len(body)}\r\n".encode() in head


async def test_page_names_the_version() -> None:
    for version in ("1.2", "1.3"):
        async with running(*SELF_SIGNED_HTTP, "--tls-max", version) as server:
            request = b"GET / HTTP/1.0\r\n\r\n"
            result = await connect_to(server, "--insecure", "--quiet", stdin=request)
        assert rows_of(result.stdout.decode())["Version"] == f"TLSv{version}"


@pytest.fixture
def curl() -> str:
    return peer_program("curl")


@pytest.fixture
def chromium() -> str:
    return peer_program("chromium")


def pin_of(server_output: bytes) -> str:
    match = re.search(rb"sha256//(\S+)", server_output)
    assert match is not None
    return match[1].decode()


def rows_of(page: str) -> dict[str, str]:
    """The page's table."""
    rows: list[Any] = re.findall(r"<th>(.*?)</th><td>(.*?)</td>", page)
    return {label: html.unescape(value) for label, value in rows}


async def test_curl_reads_the_page(curl: str, files: tuple[Path, Path], ca_file: Path) -> None:
    cert, key = files
    async with running(*SERVE, "--cert", cert, "--key", key, "--http") as server:
        url = f"https://localhost:{server.port}/"
        result = await run_program([curl, "-sS", "--noproxy", "*", "--cacert", ca_file, url])
    assert result.stderr == b""
    rows = rows_of(result.stdout.decode())
    assert rows["Version"] == "TLSv1.3"
    assert rows["ALPN"] == "http/1.1"
    assert rows["Server name"] == "localhost"
    assert rows["Client"].startswith("127.0.0.1:")


async def test_openssl_reads_the_page(
    openssl: str, files: tuple[Path, Path], ca_file: Path
) -> None:
    cert, key = files
    async with running(*SERVE, "--cert", cert, "--key", key, "--http") as server:
        command = [
            openssl, "s_client", "-connect", f"127.0.0.1:{server.port}", "-quiet",
            "-servername", "localhost", "-verify_hostname", "localhost",
            "-CAfile", str(ca_file), "-verify_return_error",
        ]  # fmt: skip
        result = await run_program(command, b"GET / HTTP/1.0\r\n\r\n")
    assert result.status == 0
    rows = rows_of(result.stdout.decode())
    assert rows["Version"] == "TLSv1.3"
    assert rows["ALPN"] == "none"
    assert rows["Server name"] == "localhost"


async def test_the_client_certificate_is_on_the_page(
    ca: CA, files: tuple[Path, Path], ca_file: Path, tmp_path: Path
) -> None:
    cert, key = files
    (tmp_path / "client").mkdir()
    own = write_pem_files(ca.issue("me.example", common_name="<me>"), tmp_path / "client")
    command = [*SERVE, "--cert", cert, "--key", key, "--http", "--client-ca", ca_file]
    async with running(*command) as server:
        options = ["--ca", ca_file, "--quiet", "--cert", own[0], "--key", own[1]]
        result = await connect_to(server, *options, stdin=b"GET / HTTP/1.0\r\n\r\n")
    assert rows_of(result.stdout.decode())["Client certificate"] == r"CN=\<me\>"
    assert b"<me>" not in result.stdout


# In a browser


async def run_chromium(chromium: str, server: Server, folder: Path, *options: str) -> Result:
    stdout = server.process.stdout
    assert stdout is not None
    if not server.output:
        server.output += bytes(await stdout.receive_some())
    pin = pin_of(server.output)
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
        "--no-first-run", "--disable-background-networking", "--disable-component-update",
        "--disable-sync", f"--user-data-dir={folder}", "--hide-scrollbars",
        f"--ignore-certificate-errors-spki-list={pin}", *options,
        f"https://localhost:{server.port}/",
    ]  # fmt: skip
    return await run_program(command)


async def test_chromium_reads_the_page(chromium: str, tmp_path: Path) -> None:
    async with running(*SELF_SIGNED_HTTP) as server:
        result = await run_chromium(chromium, server, tmp_path, "--dump-dom")
    page = result.stdout.decode()
    assert "<h1>Your connection</h1>" in page
    assert "<script" not in page
    rows = rows_of(page)
    assert rows["Version"] == "TLSv1.3"
    assert rows["Key exchange"] == "X25519MLKEM768"
    assert rows["ALPN"] == "http/1.1"
    assert rows["Server name"] == "localhost"


@pytest.mark.parametrize("scheme", GROUNDS)
@pytest.mark.parametrize("width", [320, 1400])
async def test_the_page_fits_in_light_and_in_dark_mode(
    width: int, scheme: str, chromium: str, tmp_path: Path
) -> None:
    picture = tmp_path / "page.png"
    async with running(*SELF_SIGNED_HTTP) as server:
        await run_chromium(
            chromium,
            server,
            tmp_path,
            f"--window-size={width},900",
            f"--blink-settings=preferredColorScheme={int(scheme == 'light')}",
            f"--screenshot={picture}",
        )
    rows = list(pixels(picture.read_bytes()))
    assert len(rows[0]) == width
    # Nothing reaches the edges, and the content is between them.
    assert {row[0] for row in rows} == {row[-1] for row in rows} == {GROUNDS[scheme]}
    assert len({color for row in rows for color in row}) > 10


def pixels(png: bytes) -> Iterator[list[tuple[int, ...]]]:
    """The rows of a picture with 8 bits for each of red, green and blue (RFC 2083)."""
    position, data, width = 8, b"", 0
    while position < len(png):
        length, kind = struct.unpack_from(">I4s", png, position)
        body = png[position + 8 : position + 8 + length]
        if kind == b"IHDR":
            width, _, depth, color, _, _, interlaced = struct.unpack(">IIBBBBB", body)
            assert (depth, color, interlaced) == (8, 2, 0)
        elif kind == b"IDAT":
            data += body
        position += length + 12
    raw = zlib.decompress(data)
    stride = 3 * width
    above = bytes(stride)
    for start in range(0, len(raw), stride + 1):
        above = unfiltered(raw[start], raw[start + 1 : start + 1 + stride], above)
        yield [tuple(above[i : i + 3]) for i in range(0, stride, 3)]


def unfiltered(kind: int, line: bytes, above: bytes) -> bytes:
    row = bytearray(line)
    for i, octet in enumerate(line):
        left, up, corner = (row[i - 3], above[i], above[i - 3]) if i > 2 else (0, above[i], 0)
        guess = left + up - corner
        nearest = min((left, up, corner), key=lambda octet: abs(guess - octet))
        row[i] = (octet + (0, left, up, (left + up) // 2, nearest)[kind]) % 256
    return bytes(row)
