"""Drive the engine with a blocking socket, without trio and without an event loop.

Usage: python blocking_socket.py HOST PORT CA_FILE
"""

import socket
import sys

from trio_tlsx import ClientConfig, Connection, TrustStore, Want


def do_handshake(connection: Connection, sock: socket.socket) -> None:
    """Run the handshake to its end; this is the "blocking BIO" of the contract."""
    try:
        while True:
            want = connection.do_handshake()
            if want is Want.NOTHING:
                return
            if want is Want.WRITE:
                sock.sendall(connection.data_to_send())
            elif want is Want.READ:
                connection.receive_data(sock.recv(65536))
            else:
                connection.refuse(RuntimeError(f"an async hook needs an event loop: {want!r}"))
    finally:
        sock.sendall(connection.data_to_send())  # the alert, if the handshake failed


def main(host: str, port: int, ca_file: str) -> None:
    """Send a greeting, print the answer, and close in an orderly way."""
    connection = Connection.client(ClientConfig(trust=TrustStore.from_pem_file(ca_file)), host)
    with socket.create_connection((host, port)) as sock:
        do_handshake(connection, sock)
        connection.write(memoryview(b"hello"))
        sock.sendall(connection.data_to_send())
        while (data := connection.read()) is Want.READ:
            connection.receive_data(sock.recv(65536))
        print(data, connection.negotiated.group)
        connection.shutdown()
        sock.sendall(connection.data_to_send())


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
