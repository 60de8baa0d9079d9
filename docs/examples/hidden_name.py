"""Hide the server's name with Encrypted Client Hello, and follow a change of the server's keys."""

import sys
from dataclasses import replace

import trio

import trio_tlsx
from trio_tlsx.testing import CA

SERVER_NAME, PUBLIC_NAME = "private.example", "public.example"


async def serve(stream: trio_tlsx.TLSStream[trio.SocketStream]) -> None:
    negotiated = stream.negotiated
    print(f"the server was asked for {negotiated.server_name}")
    await stream.send_all(b"hello")
    await stream.aclose()


async def main() -> None:
    authority = CA()
    published = trio_tlsx.ECHKey.generate(PUBLIC_NAME)
    current = trio_tlsx.ECHKey.generate(PUBLIC_NAME, other_ids=[published.config.config_id])
    server = trio_tlsx.ServerConfig(
        credentials=[authority.issue(SERVER_NAME), authority.issue(PUBLIC_NAME)],
        ech_keys=[current],  # the published key is gone: the client learns of the current one
    )
    client = trio_tlsx.ClientConfig(trust=authority.trust, ech=published.config_list)

    async with trio.open_nursery() as nursery:
        listeners = await trio_tlsx.open_tls_over_tcp_listeners(0, server, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, trio_tlsx.handshake_first(serve), listeners)
        port = listeners[0].port
        for configuration in (client, replace(client, ech=current.config_list)):
            stream = await trio_tlsx.open_tls_over_tcp_stream(
                "127.0.0.1",
                port,
                server_hostname=SERVER_NAME,
                config=configuration,
                retry_ech=True,
            )
            print("hidden:", stream.negotiated.ech_accepted)
            await trio.aclose_forcefully(stream)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit("usage: hidden_name.py")
    trio.run(main)
