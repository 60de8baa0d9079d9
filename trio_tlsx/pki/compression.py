"""Certificate compression algorithms (RFC 8879)."""

from __future__ import annotations

import functools
import importlib
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from ..arguments import has_methods
from ..errors import ConfigError

__all__ = ["CertificateCompressor", "compressors_of", "is_compressor"]

#: Own Certificate messages whose compressed form is kept: each peer gets the same.
MAX_REMEMBERED = 64

#: The window of a Zstandard decompressor in bytes, as a power of two (RFC 8878 3.1.1.1.2).
ZSTD_WINDOW_LOG = 23


class CertificateCompressor(Protocol):
    """An algorithm that compresses and decompresses certificates.

    Both sides must use the same code point for it.
    """

    @property
    def algorithm(self) -> int:
        """The code point in the IANA registry of certificate compression algorithms."""
        ...

    def compress(self, data: bytes) -> bytes:
        """Compress this side's Certificate message; called in each handshake."""
        ...

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Decompress the peer's Certificate message, which is not authenticated yet.

        Args:
            data: the bytes from the peer, at most 128 KiB.
            max_length: the maximum size of the result in bytes, at most 128 KiB. The memory in
                use must be in proportion to it, whatever ``data`` announces.

        Raises:
            ValueError: ``data`` cannot be decompressed, or the result would be longer.
        """
        ...


class Zlib:
    algorithm = 1

    def compress(self, data: bytes) -> bytes:
        return _deflated(data)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return _bounded(zlib.decompressobj(), zlib.error, data, max_length)


@functools.lru_cache(MAX_REMEMBERED)
def _deflated(data: bytes) -> bytes:
    return zlib.compress(data, 9)


class Zstd:
    """Zstandard, which Python has from 3.14 on."""

    algorithm = 3

    def __init__(self) -> None:
        self._zstd: Any = importlib.import_module("compression.zstd")
        self._compressed = functools.lru_cache(MAX_REMEMBERED)(self._zstd.compress)

    def compress(self, data: bytes) -> bytes:
        return self._compressed(data)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        options = {self._zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG}
        decompressor = self._zstd.ZstdDecompressor(options=options)
        return _bounded(decompressor, self._zstd.ZstdError, data, max_length)


class _Decompressor(Protocol):
    """The interface that the decompressors of the stdlib have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _bounded(
    decompressor: _Decompressor, failure: type[Exception], data: bytes, max_length: int
) -> bytes:
    try:
        # Ask for one byte more: the end of the data is only detected if there is room left.
        output = decompressor.decompress(data, max_length + 1)
    except failure as error:
        raise ValueError(str(error)) from error
    if not decompressor.eof or decompressor.unused_data or len(output) > max_length:
        raise ValueError("the data is not one complete compressed stream, or too long")
    return output


_NAMED = {"zlib": Zlib, "zstd": Zstd}

_has_both_directions = has_methods("compress", "decompress")


def is_compressor(value: object) -> bool:
    """True for an object that has the parts of a :class:`CertificateCompressor`."""
    return _has_both_directions(value) and isinstance(getattr(value, "algorithm", None), int)


def compressors_of(
    wanted: Iterable[str | CertificateCompressor],
) -> Mapping[int, CertificateCompressor]:
    """Return the compressors of a configuration by code point, the preferred one first.

    Args:
        wanted: names, or objects of the caller's own.

    Raises:
        ConfigError: a name is unknown, or this Python does not have the algorithm.
    """
    compressors: dict[int, CertificateCompressor] = {}
    for each in wanted:
        compressor = _named(each) if isinstance(each, str) else each
        if not 0 <= compressor.algorithm < 2**16:
            raise ConfigError(
                f"the algorithm of {compressor!r} is {compressor.algorithm}, which is not a "
                "number of 16 bits"
            )
        compressors[compressor.algorithm] = compressor
    return compressors


def _named(name: str) -> CertificateCompressor:
    kind = _NAMED.get(name.lower())
    if kind is None:
        raise ConfigError(
            f"unknown certificate compression {name!r}; known are {', '.join(_NAMED)}: for "
            "another one pass an object, see CertificateCompressor"
        )
    try:
        return kind()
    except ImportError as error:
        raise ConfigError(f"this Python has no {name}; 3.14 is the first: {error}") from error
