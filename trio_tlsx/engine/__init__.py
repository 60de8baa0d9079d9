"""The sans-IO engine: TLS from bytes to bytes, without sockets or an event loop."""
