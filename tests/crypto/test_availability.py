"""Builds of ``cryptography`` that lack something."""

from __future__ import annotations

import os
import subprocess
import sys

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import mldsa, mlkem, x25519

from trio_tlsx.crypto.availability import is_available

#: A process of its own, as what there is is found out once.
WITHOUT = """
import logging, sys
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import mldsa, mlkem

def lacking(data):
    raise UnsupportedAlgorithm("lacking")

mlkem.MLKEM768PublicKey.from_public_bytes = lacking
mldsa.MLDSA44PublicKey.from_public_bytes = lacking
logging.basicConfig(stream=sys.stdout, format="%(message)s")
import trio_tlsx
print(*trio_tlsx.ClientConfig.groups)
for unknown in ({"groups": ["X25519MLKEM768"]}, {"signature_schemes": ["mldsa44"]}):
    try:
        trio_tlsx.ClientConfig(**unknown)
    except trio_tlsx.ConfigError as error:
        print(error)
"""


def test_available_algorithms_are_reported() -> None:
    for kind in (mlkem.MLKEM768PublicKey, mldsa.MLDSA44PublicKey, x25519.X25519PublicKey):
        assert is_available(kind.from_public_bytes)


def test_unavailable_algorithms_are_rejected_by_name() -> None:
    def load(_: bytes) -> object:
        raise UnsupportedAlgorithm("not in this build")

    assert not is_available(load)


def test_cryptography_without_post_quantum_algorithms() -> None:
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    warning, groups, no_group, no_scheme = result.stdout.splitlines()
    assert "has no ML-KEM" in warning
    assert groups == "x25519 secp256r1 secp384r1"
    assert no_group.startswith("unknown group 'X25519MLKEM768'; pass one of x25519, ")
    assert "MLKEM" not in no_group.partition(";")[2]
    assert no_scheme.startswith("unknown signature scheme 'mldsa44'; pass one of ")
    assert "mldsa" not in no_scheme.partition(";")[2]
