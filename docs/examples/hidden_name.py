"""Connect to a server without disclosing its name to anybody on the path.

Usage: python hidden_name.py HOST PORT CONFIGS CA_FILE

CONFIGS is the server's ECHConfigList in base64, as trio-tlsx ech-keygen prints it.
"""

import sys

import trio

import trio_tlsx


async def main(host: str, port: int, configs: str, ca_file: str) -> None:
    config = trio_tlsx.ClientConfig(trust=ca_file, ech=configs)
    # If the server has other keys now, the client connects once more with those.
    stream = await trio_tlsx.open_tls_over_tcp_stream(host, port, config=config, retry_ech=True)
    async with stream:
        print("name hidden:", stream.negotiated.ech_accepted)
        await stream.send_all(b"hello")
        print(await stream.receive_some())


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    host, port, configs, ca_file = sys.argv[1:]
    trio.run(main, host, int(port), configs, ca_file)
