"""A minimal HTTP/1.1 server: one GET, one response, then ``close_notify``."""

from __future__ import annotations

import html
from http import HTTPStatus

import trio

from ..io.stream import TLSStream
from ..pki.negotiated import Negotiated

__all__ = ["answer_request"]

MAX_REQUEST_HEAD = 2**14  # bytes; browsers send far less
REQUEST_TIMEOUT = 10  # seconds

TEMPLATE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>trio-tlsx</title>
<style>
  body {{ font: 1.1rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; }}
  th {{ text-align: left; padding-right: 2rem; font-weight: 600; }}
  td {{ font-family: ui-monospace, monospace; }}
</style>
<h1>Your connection</h1>
<table>
{rows}
</table>
<p>Served by trio-tlsx: TLS in Python, on trio.</p>
</html>
"""


async def answer_request(stream: TLSStream[trio.SocketStream], client: str) -> None:
    """Read one request and answer it. The caller closes the stream.

    Args:
        stream: the connection.
        client: the name of the client on the page.
    """
    with trio.move_on_after(REQUEST_TIMEOUT):
        status, body = _respond(await _read_head(stream), stream.negotiated, client)
        await stream.send_all(_encode(status, body))
        return
    # Too slow: the caller closes the connection without a response.


async def _read_head(stream: TLSStream[trio.SocketStream]) -> bytes | None:
    """Return the request's head, or None if it is too long or incomplete."""
    head = bytearray()
    while b"\r\n\r\n" not in head:
        data = await stream.receive_some()
        head += data
        if not data or len(head) > MAX_REQUEST_HEAD:
            return None
    return bytes(head)


def _respond(head: bytes | None, negotiated: Negotiated, client: str) -> tuple[HTTPStatus, str]:
    words = head.partition(b"\r\n")[0].split(b" ") if head else []
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        return HTTPStatus.BAD_REQUEST, "<!doctype html><title>?</title><p>Not a request.</p>"
    if words[0] != b"GET":
        return HTTPStatus.METHOD_NOT_ALLOWED, "<!doctype html><title>?</title><p>Only GET.</p>"
    rows = {
        "Version": negotiated.version,
        "Cipher suite": negotiated.cipher_suite,
        "Key exchange": negotiated.group,
        "ALPN": negotiated.alpn_protocol,
        "Server name": negotiated.server_name,
        "Client": client,
    }
    return HTTPStatus.OK, TEMPLATE.format(
        rows="\n".join(
            f"<tr><th>{label}<td>{html.escape(value or 'none')}" for label, value in rows.items()
        )
    )


def _encode(status: HTTPStatus, body: str) -> bytes:
    content = body.encode()
    head = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: text/html; charset=utf-8",
        f"Content-Length: {len(content)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        head.append("Allow: GET")
    return "\r\n".join([*head, "", ""]).encode() + content
