"""A server that answers requests in early data (0-RTT) if they are safe to repeat.

Usage: python early_requests.py CERT_FILE KEY_FILE PORT
"""

import sys

import trio

import trio_tlsx

MAX_REQUEST = 4096  # bytes


async def answer(stream: trio_tlsx.TLSStream[trio.SocketStream]) -> None:
    """Answer one request, which may begin as early data and end as ordinary data.

    ``replayable`` belongs to the chunk that completes the request: if that is ordinary data, the
    client has proved that it is there, and the request is no replay.
    """
    request, replayable = b"", False
    async with stream:
        while b"\n" not in request and len(request) < MAX_REQUEST:
            data, replayable = await stream.receive_some_or_replayable_early_data()
            if not data:
                return
            request += data
        if not replayable:
            await stream.send_all(b"done: " + request)
        elif request.startswith(b"GET "):
            await stream.answer_early_data(b"early: " + request)
        else:  # wait until the client is known to be there
            await stream.do_handshake()
            await stream.send_all(b"late: " + request)


async def main(cert_file: str, key_file: str, port: int) -> None:
    """Serve until Ctrl-C."""
    credentials = trio_tlsx.Credentials.from_pem_files(cert_file, key_file)
    config = trio_tlsx.ServerConfig(
        credentials=credentials, max_early_data_size=MAX_REQUEST, tickets_after_handshake=True
    )
    [listener] = await trio_tlsx.open_tls_over_tcp_listeners(
        port, config, host="127.0.0.1", handshake_timeout=10
    )
    print("listening on port", listener.port, flush=True)
    handle = trio_tlsx.handshake_first(answer, replayable_early_data=True)
    await trio.serve_listeners(handle, [listener])


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        trio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]))
    except* KeyboardInterrupt:
        pass
