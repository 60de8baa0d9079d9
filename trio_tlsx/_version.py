"""The version of this package. Packaging, the documentation and the command read it here."""

__version__ = "0.1.0"
