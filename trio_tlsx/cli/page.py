"""A minimal HTTP/1.1 server: one GET, one response, then ``close_notify``."""

from __future__ import annotations

import html
from http import HTTPStatus

import trio

from ..crypto.groups import GROUPS
from ..io.stream import TLSStream
from ..pki.describe import printable
from ..pki.negotiated import Negotiated

__all__ = ["answer_request"]

MAX_REQUEST_HEAD = 2**14  # bytes; browsers send far less
REQUEST_TIMEOUT = 10  # seconds

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
:root {{ --ink: #1c2430; --dim: #5b6675; --line: #dfe4ea; --sheet: #fff; --ground: #f3f5f8;
  --good: #0b6b3a; --good-ground: #e3f4ea; --odd: #8a4b00; --odd-ground: #fdf0dc; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e6eaf0; --dim: #9aa6b5; --line: #2c3542; --sheet: #171d26; --ground: #0f141b;
    --good: #7bdca4; --good-ground: #12301f; --odd: #f2bf7b; --odd-ground: #3a2a10; }}
}}
* {{ box-sizing: border-box; }}
body {{ margin: 0; padding: clamp(1rem, 5vw, 4rem) clamp(.75rem, 4vw, 2rem); color: var(--ink);
  background: var(--ground); font: 1rem/1.5 system-ui, sans-serif; }}
main {{ max-width: 44rem; margin: 0 auto; padding: clamp(1rem, 4vw, 2.5rem);
  background: var(--sheet); border: 1px solid var(--line); border-radius: 12px; }}
h1 {{ margin: 0 0 .75rem; font-size: clamp(1.4rem, 5vw, 2rem); line-height: 1.2; }}
p {{ margin: 0 0 1.5rem; }}
.mark {{ padding: .6rem .8rem; border-radius: 8px; color: var(--good);
  background: var(--good-ground); }}
.odd {{ color: var(--odd); background: var(--odd-ground); }}
table {{ width: 100%; border-collapse: collapse; }}
th, td {{ padding: .6rem 0; border-top: 1px solid var(--line); text-align: left;
  vertical-align: top; overflow-wrap: anywhere; }}
th {{ width: 11rem; padding-right: 1rem; color: var(--dim); font-weight: 500; }}
td {{ font-family: ui-monospace, monospace; font-size: .95em; }}
footer {{ margin-top: 1.5rem; color: var(--dim); font-size: .9rem; }}
@media (max-width: 32rem) {{
  tr, th, td {{ display: block; width: auto; }}
  tr {{ padding: .5rem 0; border-top: 1px solid var(--line); }}
  th, td {{ padding: 0; border: 0; }}
}}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
{content}
<footer>Served by trio-tlsx: TLS in Python, on trio.</footer>
</main>
</body>
</html>
"""

POST_QUANTUM = {group.name for group in GROUPS.values() if group.is_post_quantum}


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
        return HTTPStatus.BAD_REQUEST, _page("Bad request", "<p>This is not an HTTP request.</p>")
    if words[0] != b"GET":
        return HTTPStatus.METHOD_NOT_ALLOWED, _page("Not allowed", "<p>Use GET.</p>")
    return HTTPStatus.OK, _page("Your connection", _describe(negotiated, client))


def _describe(negotiated: Negotiated, client: str) -> str:
    if negotiated.group in POST_QUANTUM:
        mark = '<p class="mark">Encrypted. The key exchange withstands quantum computers.</p>'
    else:
        mark = (
            '<p class="mark odd">Encrypted. The key exchange does not withstand quantum '
            "computers.</p>"
        )
    identity = negotiated.peer_identity
    rows = {
        "Version": negotiated.version,
        "Cipher suite": negotiated.cipher_suite,
        "Key exchange": negotiated.group,
        "ALPN": negotiated.alpn_protocol,
        "Server name": negotiated.server_name,
        "Name hidden": "yes" if negotiated.ech_accepted else "no",
        "Session": "resumed" if negotiated.resumed else "new",
        "Client": client,
        "Client certificate": identity.subject if identity else None,
    }
    lines = (
        f"<tr><th>{label}</th><td>{html.escape(printable(value or 'none'))}</td></tr>"
        for label, value in rows.items()
    )
    return "\n".join([mark, "<table>", *lines, "</table>"])


def _page(title: str, content: str) -> str:
    return TEMPLATE.format(title=title, content=content)


def _encode(status: HTTPStatus, body: str) -> bytes:
    content = body.encode()
    head = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: text/html; charset=utf-8",
        f"Content-Length: {len(content)}",
        "Cache-Control: no-store",
        "Content-Security-Policy: default-src 'none'; img-src data:; style-src 'unsafe-inline'",
        "Connection: close",
    ]
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        head.append("Allow: GET")
    return "\r\n".join([*head, "", ""]).encode() + content
