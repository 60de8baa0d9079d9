"""Measure the primitives of cryptography alone, which are the floor of handshakes and records."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .measurement import Bench

NONCE_BYTES = 12
RECORD = bytes(2**14)
RECORDS_OF_64_KIB = 4
MESSAGE = bytes(130)  #: about what a CertificateVerify signs (RFC 9846 4.5.2)

#: The number of each in a full handshake of both sides with X25519 and P-256. The path of the
#: certificate is verified already.
FULL_HANDSHAKE = {
    "X25519: generate a key": 2,
    "X25519: exchange": 2,
    "ECDSA P-256: sign": 1,
    "ECDSA P-256: verify": 1,
}
#: The additional ones with the default groups.
HYBRID = {
    "ML-KEM-768: generate a key": 1,
    "ML-KEM-768: encapsulate": 1,
    "ML-KEM-768: decapsulate": 1,
}


def operations() -> dict[str, Callable[[], object]]:
    key, peer = (x25519.X25519PrivateKey.generate() for _ in range(2))
    signer, algorithm = ec.generate_private_key(ec.SECP256R1()), ec.ECDSA(hashes.SHA256())
    signature = signer.sign(MESSAGE, algorithm)
    kem = mlkem.MLKEM768PrivateKey.generate()
    _, ciphertext = kem.public_key().encapsulate()
    aead, nonce = AESGCM(os.urandom(16)), bytes(NONCE_BYTES)
    sealed = aead.encrypt(nonce, RECORD, None)
    into = bytearray(len(sealed)), bytearray(len(RECORD))

    def seal() -> None:
        for _ in range(RECORDS_OF_64_KIB):
            aead.encrypt_into(nonce, RECORD, None, into[0])

    def open_() -> None:
        for _ in range(RECORDS_OF_64_KIB):
            aead.decrypt_into(nonce, sealed, None, into[1])

    return {
        "X25519: generate a key": x25519.X25519PrivateKey.generate,
        "X25519: exchange": lambda: key.exchange(peer.public_key()),
        "ECDSA P-256: sign": lambda: signer.sign(MESSAGE, algorithm),
        "ECDSA P-256: verify": lambda: signer.public_key().verify(signature, MESSAGE, algorithm),
        "ML-KEM-768: generate a key": mlkem.MLKEM768PrivateKey.generate,
        "ML-KEM-768: encapsulate": kem.public_key().encapsulate,
        "ML-KEM-768: decapsulate": lambda: kem.decapsulate(ciphertext),
        "AES-128-GCM: seal 64 KiB in records": seal,
        "AES-128-GCM: open 64 KiB in records": open_,
    }


def primitives(bench: Bench) -> None:
    """Time each primitive on the CPU clock."""
    calls = operations()
    for _ in range(bench.results.rounds):
        for name, call in calls.items():
            start = time.thread_time()
            for _ in range(bench.sizes.primitives):
                call()
            us = (time.thread_time() - start) / bench.sizes.primitives * 1e6
            figure = bench.results.find_or_add("primitives", name, "", "cryptography", "us", "")
            figure.add({"us": us})
