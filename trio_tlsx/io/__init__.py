"""The trio side: the stream, the listener and the driver of an engine."""
