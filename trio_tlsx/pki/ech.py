"""The keys of Encrypted Client Hello, and the selection of a configuration (RFC 9849 4)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from secrets import SystemRandom
from typing import Literal, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ..arguments import INT, STR, Expected, check
from ..crypto.groups import ECDHKey, EphemeralKey, X25519Key
from ..crypto.hpke import AEADS, KDFS, KEMS, HPKESuite
from ..errors import ConfigError, ProtocolError
from ..messages.ech import ECHConfig, decode_config_list, encode_config_list, is_public_name
from .pem import PRIVATE_KEY, pem_blocks

__all__ = ["ECHKey", "candidates", "decode_configs", "hpke_info", "random_suite"]

KemName: TypeAlias = Literal["X25519", "P-256"]
_PrivateKey: TypeAlias = x25519.X25519PrivateKey | ec.EllipticCurvePrivateKey

_random = SystemRandom()

_KEM_CODES: dict[str, int] = {"X25519": 0x0020, "P-256": 0x0010}
MAX_NAME_LENGTH_VALUE = 255
#: Clients pad names to this many bytes. Few host names are longer.
DEFAULT_NAME_LENGTH = 64

#: The configurations of one list whose public keys a client checks. A server publishes one or two;
#: a hostile list has room for thousands.
MAX_CONFIGS = 16

#: A client connects with the same configurations again, and checking a public key takes 0.1 ms.
MAX_CHECKED_KEYS = 64

PEM_LABEL = "ECHCONFIG"  # RFC 9934 3
LINE_LENGTH = 64


@dataclass(frozen=True, slots=True, eq=False)
class ECHKey:
    """A server's key for Encrypted Client Hello, with the configuration to publish.

    Attributes:
        config: the configuration.
    """

    config: ECHConfig
    _private_key: _PrivateKey = field(repr=False)
    kem_key: EphemeralKey = field(repr=False)

    @classmethod
    def generate(
        cls,
        public_name: str,
        *,
        kem: KemName = "X25519",
        maximum_name_length: int = DEFAULT_NAME_LENGTH,
        other_ids: Collection[int] = (),
    ) -> ECHKey:
        """Generate a key.

        Args:
            public_name: the name that everybody may see. The server needs a certificate for it.
            kem: the key exchange: ``"X25519"``, which every client supports, or ``"P-256"``.
            maximum_name_length: the length of the longest name of the server, in bytes. Clients
                pad shorter names to it.
            other_ids: the ``config_id`` of each other key of the server, so that this key gets a
                different one.

        Raises:
            ConfigError: an argument is invalid, or all 256 ids are in ``other_ids``.
        """
        check("public_name", public_name, Expected(STR, "a DNS name"))
        check("maximum_name_length", maximum_name_length, Expected(INT, "a number of bytes"))
        if kem not in _KEM_CODES:
            raise ConfigError(f"kem is {kem!r}; pass one of {', '.join(map(repr, _KEM_CODES))}")
        if not is_public_name(public_name):
            raise ConfigError(
                f"public_name {public_name!r} is no host name: pass a DNS name of letters, "
                "digits and hyphens, and no IP address"
            )
        if not 0 <= maximum_name_length <= MAX_NAME_LENGTH_VALUE:
            raise ConfigError(
                f"maximum_name_length is {maximum_name_length}; pass 0 to {MAX_NAME_LENGTH_VALUE}"
            )
        private_key: _PrivateKey = (
            x25519.X25519PrivateKey.generate()
            if kem == "X25519"
            else ec.generate_private_key(ec.SECP256R1())
        )
        kem_key = _kem_key(private_key)
        config = ECHConfig.create(
            _new_id(other_ids),
            _KEM_CODES[kem],
            kem_key.public,
            [(kdf, aead) for kdf in KDFS for aead in AEADS],
            maximum_name_length,
            public_name,
        )
        return cls(config, private_key, kem_key)

    @classmethod
    def from_pem(cls, pem: bytes) -> ECHKey:
        """Load a key and its configuration from PEM, as OpenSSL 4 writes it (RFC 9934).

        Raises:
            ConfigError: the private key or its configuration is missing or cannot be parsed, or
                the configuration has a cipher suite that this library does not support.
        """
        blocks = {block.label: block.pem for block in pem_blocks(pem)}
        key_pem, config_pem = blocks.get(PRIVATE_KEY), blocks.get(PEM_LABEL)
        if key_pem is None or config_pem is None:
            raise ConfigError(
                "the PEM of an ECH key needs two blocks, 'PRIVATE KEY' and 'ECHCONFIG': pass a "
                "file of 'trio-tlsx ech-keygen' or of 'openssl ech'"
            )
        try:
            private_key = load_pem_private_key(key_pem, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ConfigError(f"the private key of the ECH key is broken: {error}") from error
        if not isinstance(private_key, x25519.X25519PrivateKey | ec.EllipticCurvePrivateKey):
            raise ConfigError("the private key of an ECH key must be of X25519 or P-256")
        kem_key = _kem_key(private_key)
        encoded = b"".join(config_pem.splitlines()[1:-1]).decode("latin-1")
        for config in decode_configs(encoded):
            if config.public_key == kem_key.public and config.kem_id in KEMS:
                _check_suites(config)
                return cls(config, private_key, kem_key)
        raise ConfigError("the ECHCONFIG has no configuration of the private key beside it")

    def to_pem(self) -> bytes:
        """Return the private key and the configuration in PEM (RFC 9934)."""
        private_key = self._private_key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        encoded = base64.b64encode(self.config_list).decode("ascii")
        lines = (encoded[i : i + LINE_LENGTH] for i in range(0, len(encoded), LINE_LENGTH))
        block = (f"-----BEGIN {PEM_LABEL}-----", *lines, f"-----END {PEM_LABEL}-----", "")
        return private_key + "\n".join(block).encode("ascii")

    @property
    def config_list(self) -> bytes:
        """The ECHConfigList to publish, with this configuration alone."""
        return encode_config_list([self.config])


def _kem_key(private_key: _PrivateKey) -> EphemeralKey:
    if isinstance(private_key, x25519.X25519PrivateKey):
        return X25519Key(private_key)
    if not isinstance(private_key.curve, ec.SECP256R1):
        raise ConfigError(
            f"the private key of an ECH key is of the curve {private_key.curve.name}: use X25519 "
            "or P-256"
        )
    return ECDHKey(private_key.curve, private_key)


def _check_suites(config: ECHConfig) -> None:
    """Check that the server supports each suite: a client may use any of them (RFC 9849 4)."""
    for kdf, aead in config.cipher_suites:
        if kdf not in KDFS or aead not in AEADS:
            raise ConfigError(
                f"the ECHCONFIG has the cipher suite of KDF {kdf} and AEAD {aead}, which is not "
                "supported: generate a key with KDF 1 or 2 (HKDF with SHA-256 or SHA-384) and "
                "AEAD 1, 2 or 3 (AES-128-GCM, AES-256-GCM or ChaCha20-Poly1305)"
            )


def _new_id(other_ids: Collection[int]) -> int:
    """Return a random ``config_id`` that no other key has (RFC 9849 4.1)."""
    free = sorted(set(range(256)).difference(other_ids))
    if not free:
        raise ConfigError("all 256 ids of ECH keys are taken: leave out old keys")
    return _random.choice(free)


def decode_configs(value: bytes | str) -> tuple[ECHConfig, ...]:
    """Decode an ECHConfigList that a program passes: bytes, or base64 as DNS records have it.

    Raises:
        ConfigError: it is malformed.
    """
    try:
        octets = base64.b64decode(value, validate=True) if isinstance(value, str) else value
        return decode_config_list(octets)
    except (ProtocolError, binascii.Error, ValueError) as error:
        reason = str(error).removeprefix("the peer's ")
        if not isinstance(error, ProtocolError):
            reason = f"they are not in base64 ({reason})"
        raise ConfigError(
            f"the ECH configurations cannot be parsed: {reason}; pass an ECHConfigList as bytes, "
            "or in base64 as 'trio-tlsx ech-keygen' prints it"
        ) from error


def candidates(configs: Iterable[ECHConfig]) -> Iterator[tuple[ECHConfig, HPKESuite]]:
    """Iterate over the configurations that a client can use (RFC 9849 6.1, 6.1.7).

    Only the first of them whose algorithms, extensions and name can be used have their public keys
    checked, ``MAX_CONFIGS`` at most.
    """
    for config, suite in islice(_supported(configs), MAX_CONFIGS):
        if _is_valid(config.kem_id, config.public_key):
            yield config, suite


def _supported(configs: Iterable[ECHConfig]) -> Iterator[tuple[ECHConfig, HPKESuite]]:
    for config in configs:
        suite = _suite(config)
        if (
            suite is not None
            and not config.has_unknown_mandatory_extension
            and is_public_name(config.public_name)
        ):
            yield config, suite


def _suite(config: ECHConfig) -> HPKESuite | None:
    """Return the first suite of the configuration that this library supports."""
    kem = KEMS.get(config.kem_id)
    if kem is None:
        return None
    for kdf, aead in config.cipher_suites:
        if kdf in KDFS and aead in AEADS:
            return HPKESuite(kem, KDFS[kdf], AEADS[aead])
    return None


@lru_cache(maxsize=MAX_CHECKED_KEYS)
def _is_valid(kem_id: int, public_key: bytes) -> bool:
    try:
        KEMS[kem_id].generate().exchange(public_key)
    except ValueError:
        return False
    return True


def hpke_info(config: ECHConfig) -> bytes:
    """Return the info that binds the encryption to the configuration (RFC 9849 6.1)."""
    return b"tls ech\0" + config.encoded


def random_suite() -> HPKESuite:
    """Return a suite for a GREASE value, with the KEM that all clients have (RFC 9849 6.2)."""
    return HPKESuite(
        KEMS[_KEM_CODES["X25519"]],
        _random.choice(list(KDFS.values())),
        _random.choice(list(AEADS.values())),
    )
