"""The runner's own algorithms for certificate compression."""

from __future__ import annotations

import os

from flags import Flags

from trio_tlsx.pki.compression import CertificateCompressor

__all__ = ["certificate_compression"]


class Expanding:
    """Four octets before what is compressed."""

    algorithm = 0xFF02
    prefix = bytes((1, 2, 3, 4))

    def compress(self, data: bytes) -> bytes:
        return self.prefix + data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if not data.startswith(self.prefix):
            raise ValueError("another prefix")
        return data[len(self.prefix) :]


class Shrinking:
    """Leaves out the two octets with which every Certificate begins."""

    algorithm = 0xFF01
    prefix = bytes(2)

    def compress(self, data: bytes) -> bytes:
        return data.removeprefix(self.prefix)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self.prefix + data


class Random:
    """One octet before what is compressed, another one each time."""

    algorithm = 0xFF03

    def compress(self, data: bytes) -> bytes:
        return os.urandom(1) + data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return data[1:]


def certificate_compression(flags: Flags) -> list[CertificateCompressor]:
    known: list[CertificateCompressor] = [Expanding(), Shrinking(), Random()]
    if "-install-cert-compression-algs" in flags:
        return known
    wanted = flags.numbers("-install-one-cert-compression-alg")
    return [compressor for compressor in known if compressor.algorithm in wanted]
