"""Integrations with other packages. Most modules need the extra of the same name."""
