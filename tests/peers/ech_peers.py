"""Peers with Encrypted Client Hello (RFC 9849): OpenSSL 4, Go and NSS."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from authority import SERVER_NAME
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from go_peer import GoPeer
from openssl_peer import OpenSSLPeer
from peer import CannotDoThat, Inabilities, Inability, Part, Role, Saw
from processes import newer_openssl

from trio_tlsx import ECHKey
from trio_tlsx.messages.ech import ECHConfig, encode_config_list

__all__ = ["ECHGoPeer", "OpenSSL4Peer"]

ECH_IN_GO = re.compile("^ech accepted=(true|false) retry=([0-9a-f]*)$", re.MULTILINE)
NO_GREASE_IN_GO = "tls.Config has no option for GREASE"

SUCCESS_OF_CLIENT = re.compile(rb"^ECH: success: 1$", re.MULTILINE)
SUCCESS_OF_SERVER = re.compile(rb"^ech_success=([01])$", re.MULTILINE)
#: The lines of the client about a retry configuration: its id, public name, suites, public key and
#: maximum name length.
RETRY_CONFIG = re.compile(
    r"^ECH: \t\[fe0d,(\w\w),([^,]*),\[([^\]]*)\],(\w*),(\w\w),00\]$", re.MULTILINE
)


class OpenSSL4Peer(OpenSSLPeer):
    name = "openssl"
    cannot: ClassVar[Inabilities] = {
        ("client", "retry and reject"): Inability(
            "its client sends `illegal_parameter` then, even to its own server",
            AssertionError,
        ),
    }

    #: By default its inner ClientHello offers TLS 1.2 too, which RFC 9849 6.1 forbids.
    versions: ClassVar[Sequence[str]] = ("-tls1_3",)

    def program(self) -> str:
        return newer_openssl(4, 0)

    def __init__(self, *more: str) -> None:
        """Take more options for its program."""
        self._more = more

    def options(self, role: Role, part: Part) -> list[str | Path]:
        arguments = [*super().options(role, part), *self._more]
        if part.ech_configs:
            configs = base64.b64encode(part.ech_configs).decode("ascii")
            arguments += [*self.versions, "-ech_config_list", configs]
        if part.ech_grease:
            arguments += ["-ech_grease"]
        if part.ech_key and part.credentials:
            # It tells of ECH only where it selects a certificate by the name.
            chain, key = part.credentials
            arguments += ["-ech_key", part.ech_key, "-servername", SERVER_NAME]
            arguments += ["-cert2", chain, "-key2", key]
        return arguments

    def read(self, printed: bytes) -> Saw:
        server = SUCCESS_OF_SERVER.search(printed)
        return replace(
            super().read(printed),
            ech=server[1] == b"1" if server else bool(SUCCESS_OF_CLIENT.search(printed)),
            retry_configs=read_retry_configs(printed.decode()),
        )


def read_retry_configs(printed: str) -> bytes | None:
    """Return the ECHConfigList of which ``s_client`` prints the parts."""
    match = RETRY_CONFIG.search(printed)
    if match is None:
        return None
    config_id, public_name, codes, public_key, maximum_name_length = match.groups()
    numbers = [int(code, 16) for code in codes.split(",")]
    config = ECHConfig.create(
        int(config_id, 16),
        numbers[0],
        bytes.fromhex(public_key),
        zip(numbers[1::3], numbers[2::3], strict=True),
        int(maximum_name_length, 16),
        public_name,
    )
    return encode_config_list([config])


P256_LENGTH = 32  # bytes
NO_EARLY_DATA = Inability("it has no early data over TCP", AssertionError)


class ECHGoPeer(GoPeer):
    cannot: ClassVar[Inabilities] = {
        ("client", "grease"): Inability("`tls.Config` has no option for GREASE", CannotDoThat),
        ("client", "early data"): NO_EARLY_DATA,
        ("server", "early data"): NO_EARLY_DATA,
    }

    def arguments_of(self, part: Part) -> Sequence[str]:
        arguments = [*super().arguments_of(part)]
        if part.ech_grease:
            arguments += ["ech_grease=1"]
        if part.ech_configs:
            arguments += [f"ech={base64.b64encode(part.ech_configs).decode('ascii')}"]
        if part.ech_key:
            pem = part.ech_key.read_bytes()
            config, private = ECHKey.from_pem(pem).config.encoded, raw_private_key(pem)
            arguments += [f"ech_config={base64.b64encode(config).decode('ascii')}"]
            arguments += [f"ech_key={base64.b64encode(private).decode('ascii')}"]
        return arguments

    def read(self, printed: str, connections: int) -> Sequence[Saw]:
        if NO_GREASE_IN_GO in printed:
            raise CannotDoThat
        return [
            replace(saw, ech=accepted == "true", retry_configs=bytes.fromhex(retry) or None)
            for saw, (accepted, retry) in zip(
                super().read(printed, connections), ECH_IN_GO.findall(printed), strict=True
            )
        ]


def raw_private_key(pem: bytes) -> bytes:
    """Return the private key as HPKE has it (RFC 9180 7.1.2)."""
    private_key = load_pem_private_key(pem, None)
    if isinstance(private_key, EllipticCurvePrivateKey):
        return private_key.private_numbers().private_value.to_bytes(P256_LENGTH)
    assert isinstance(private_key, X25519PrivateKey)
    return private_key.private_bytes_raw()
