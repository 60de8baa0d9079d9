"""Connect to a service by its records in DNS, without disclosing its name.

Usage: python service_in_dns.py NAME PORT CA_FILE DNS_ADDRESS DNS_PORT
"""

import sys

import trio

import trio_tlsx
from trio_tlsx.contrib.dns import open_tls_to_service, resolver_at


async def main(name: str, port: int, ca_file: str, dns_address: str, dns_port: int) -> None:
    resolver = resolver_at(dns_address, dns_port)
    config = trio_tlsx.ClientConfig(trust=ca_file)
    stream = await open_tls_to_service(
        name, port, config=config, resolver=resolver, require_ech=True
    )
    async with stream:
        print("name hidden:", stream.negotiated.ech_accepted)
        await stream.send_all(b"hello")
        print(await stream.receive_some())


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    name, port, ca_file, dns_address, dns_port = sys.argv[1:]
    trio.run(main, name, int(port), ca_file, dns_address, int(dns_port))
