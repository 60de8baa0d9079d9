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

#: Certificate messages of ours whose compressed form is kept: they are the same for each peer.
MAX_REMEMBERED = 64

#: What a decompressor of Zstandard may hold, in bytes, as a power of two (RFC 8878 3.1.1.1.2).
ZSTD_WINDOW_LOG = 23


class CertificateCompressor(Protocol):
    """A way to compress certificates, both ways.

    Both sides have to know it by the same number.
    """

    @property
    def algorithm(self) -> int:
        """Its code point in the IANA registry of certificate compression algorithms."""
        ...

    def compress(self, data: bytes) -> bytes:
        """Compress our own Certificate message; called for each handshake."""
        ...

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Decompress the peer's Certificate message, which anybody may have made.

        Args:
            data: what the peer sent, 128 KiB at most.
            max_length: how many bytes may come out, 128 KiB at most; whatever ``data`` says, no
                more memory than in proportion to this may be taken.

        Raises:
            ValueError: it cannot be decompressed, or more would come out.
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
    """Python has it from 3.14 on."""

    algorithm = 3

    def __init__(self) -> None:
        self._zstd: Any = importlib.import_module("compression.zstd")
        self.compress = functools.lru_cache(MAX_REMEMBERED)(self._zstd.compress)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        options = {self._zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG}
        decompressor = self._zstd.ZstdDecompressor(options=options)
        return _bounded(decompressor, self._zstd.ZstdError, data, max_length)


class _Decompressor(Protocol):
    """What those of the stdlib have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _bounded(
    decompressor: _Decompressor, failure: type[Exception], data: bytes, max_length: int
) -> bytes:
    try:
        # One byte more than there may be: the end is only seen where there is room for more.
        output = decompressor.decompress(data, max_length + 1)
    except failure as error:
        raise ValueError(str(error)) from error
    if not decompressor.eof or decompressor.unused_data or len(output) > max_length:
        raise ValueError("it is not compressed in one piece, or too long")
    return output


_NAMED = {"zlib": Zlib, "zstd": Zstd}

_has_both_directions = has_methods("compress", "decompress")


def is_compressor(value: object) -> bool:
    """True for an object that has the parts of a :class:`CertificateCompressor`."""
    return _has_both_directions(value) and isinstance(getattr(value, "algorithm", None), int)


def compressors_of(
    wanted: Iterable[str | CertificateCompressor],
) -> Mapping[int, CertificateCompressor]:
    """What a configuration names or brings with it, by code point, the most wanted first.

    Raises:
        ConfigError: a name is unknown here.
    """
    compressors: dict[int, CertificateCompressor] = {}
    for each in wanted:
        compressor = _named(each) if isinstance(each, str) else each
        if not 0 <= compressor.algorithm < 2**16:
            raise ConfigError(f"{compressor.algorithm} is no code point of an algorithm")
        compressors[compressor.algorithm] = compressor
    return compressors


def _named(name: str) -> CertificateCompressor:
    kind = _NAMED.get(name.lower())
    if kind is None:
        raise ConfigError(
            f"unknown certificate compression {name!r}; known are {', '.join(_NAMED)}: for "
            "another one give an object, see CertificateCompressor"
        )
    try:
        return kind()
    except ImportError as error:
        raise ConfigError(f"this Python has no {name}; 3.14 is the first: {error}") from error
