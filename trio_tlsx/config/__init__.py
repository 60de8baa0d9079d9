"""What the caller configures: :class:`ClientConfig` and :class:`ServerConfig`."""
