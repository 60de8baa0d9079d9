"""The sans-IO engine: TLS from bytes to bytes. Nothing here knows sockets or an event loop."""
