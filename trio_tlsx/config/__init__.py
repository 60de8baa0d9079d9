"""The configuration: :class:`ClientConfig` and :class:`ServerConfig`."""
