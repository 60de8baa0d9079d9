"""Convert flags to configurations. Keep sessions, ticket keys and the time across connections."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Literal

from compressors import certificate_compression
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from flags import Flags, Unimplemented, versions
from identity import Disappointed, Identity
from later import later
from rewritable import RewritableTicketKeys

from trio_tlsx.config.client import ClientConfig, ECHSource
from trio_tlsx.config.server import ServerConfig
from trio_tlsx.crypto.cipher_suites import CIPHER_SUITES
from trio_tlsx.crypto.cipher_suites12 import CIPHER_SUITES_12
from trio_tlsx.crypto.groups import DEFAULT_GROUPS, GROUPS, X25519Key
from trio_tlsx.crypto.signatures import (
    CERTIFICATE_VERIFY_SCHEMES,
    CLIENT_ONLY_SCHEMES,
    DEFAULT_SCHEMES,
    SignatureScheme,
)
from trio_tlsx.crypto.signatures12 import schemes_of_12
from trio_tlsx.errors import AlertDescription, CertificateError
from trio_tlsx.messages.certificate_types import CertificateType
from trio_tlsx.messages.ech import decode_config_list
from trio_tlsx.pki.ech import ECHKey
from trio_tlsx.pki.peer import Peer
from trio_tlsx.pki.trust import TrustStore
from trio_tlsx.record.protection import MAX_PLAINTEXT_LENGTH
from trio_tlsx.sessions.anti_replay import MemoryAntiReplayCache
from trio_tlsx.sessions.client import Session
from trio_tlsx.sessions.ticket_keys import TicketKeys
from trio_tlsx.sessions.ticket_store import MemoryTicketStore
from trio_tlsx.testing import CA
from trio_tlsx.verification.policy import check_leaf_key

__all__ = ["NO_NAME", "Memory", "Verification", "client_config", "server_config"]

#: An address: a client that is not told a name sends none, and none is sent for an address.
NO_NAME = "192.0.2.1"
#: Longer than any protocol of a test's: offered by no client, so that ALPN finds nothing.
NO_PROTOCOL = b"no such protocol"

#: As much as BoringSSL's server takes, in bytes.
MAX_EARLY_DATA_SIZE = 14_336

ZERO_KEY = bytes(32)

#: For a client that is told of no certificate: ``verify`` decides.
ANY_TRUST = CA().trust


class Memory:
    """What a connection leaves to the next one.

    Attributes:
        session: what the client was given in this connection.
        offered: what it was given in the one before, if that was not used yet.
        ticket_keys: what every server seals and opens tickets with.
        no_ticket_keys: what opens none that was sealed.
        ticket_store: keeps tickets, and sessions of TLS 1.2 for clients without tickets; None if
            the runner rewrites tickets.
        anti_replay_cache: rejects replayed early data.
    """

    def __init__(self, flags: Flags) -> None:
        self._asynchronous = "-async" in flags
        self._now = datetime.datetime.now(datetime.UTC)
        self.session: Session | None = None
        self.offered: Session | None = None
        fixed = "-use-ticket-callback" in flags or "-use-ticket-aead-callback" in flags
        self.ticket_keys = TicketKeys([ZERO_KEY] if fixed else (), clock=self.clock)
        self.ticket_store: MemoryTicketStore | None = MemoryTicketStore()
        if "-ticket-key" in flags:
            self.ticket_keys = RewritableTicketKeys(flags.base64("-ticket-key"), clock=self.clock)
            self.ticket_store = None  # the state itself is to be in the ticket
        self.no_ticket_keys = TicketKeys(clock=self.clock)
        self.anti_replay_cache = MemoryAntiReplayCache(clock=self.clock)

    def next_connection(self, delay: int) -> None:
        """Let ``delay`` seconds pass, and offer the newest session."""
        self._now += datetime.timedelta(seconds=delay)
        self.session, self.offered = None, self.session

    def clock(self) -> datetime.datetime:
        return self._now

    # What a SessionStore has

    def put(self, session: Session) -> Awaitable[None] | None:
        self.session = session
        return later(None) if self._asynchronous else None

    def take(
        self, server_name: str, port: int | None, context: bytes
    ) -> Awaitable[Session | None] | Session | None:
        session, self.offered = self.offered, None
        return later(session) if self._asynchronous else session


class Verification:
    """The hook ``verify``: trusts each certificate with a key that may sign, or none.

    What RFC 5280 wants is no part of the runner's tests, and its certificates would not pass.

    Args:
        before_early_data: the flags for the first question, if that comes before early data.

    Attributes:
        peer: whom it was asked about.
    """

    def __init__(self, flags: Flags, before_early_data: Flags | None) -> None:
        self._flags = flags
        self._before_early_data = before_early_data
        self.peer: Peer | None = None

    def __call__(self, peer: Peer) -> Awaitable[None] | None:
        flags, self._before_early_data = self._before_early_data or self._flags, None
        if peer.resumed and "-reverify-on-resume" not in flags:
            return None
        self.peer = peer
        check_name(flags, peer)
        custom = "-use-custom-verify-callback" in flags
        if "-fail-ocsp-callback" in flags:
            alert = AlertDescription.bad_certificate_status_response
            raise CertificateError("the test wants this response refused", alert)
        wanted = "-server" in flags or "-verify-peer" in flags or custom
        if "-verify-fail" in flags and (wanted or peer.raw_public_key is not None):
            # What BoringSSL's two interfaces for this send when they refuse.
            alert = AlertDescription["certificate_unknown" if custom else "handshake_failure"]
            raise CertificateError("the test wants this certificate refused", alert)
        if peer.raw_public_key is not None:
            return later(None) if "-async" in flags else None
        leaf = peer.certificates[0]
        usage = next(
            (e.value for e in leaf.extensions if isinstance(e.value, x509.KeyUsage)), None
        )
        check_leaf_key(leaf, usage)
        return later(None) if "-async" in flags else None


def check_name(flags: Flags, peer: Peer) -> None:
    """Check whether the certificate is asked about for the public name of ECH."""
    public_name = peer.server_name if peer.for_public_name else None
    expected = flags.text("-expect-ech-name-override")
    is_checked = expected is not None or "-expect-no-ech-name-override" in flags
    if is_checked and public_name != expected:
        raise Disappointed(f"public name: {public_name!r}")


def client_config(
    flags: Flags,
    memory: Memory,
    identity: Identity,
    verify: Verification,
    log_key: Callable[[str], object],
) -> ClientConfig:
    if identity.psks and "-verify-peer" not in flags:
        return ClientConfig(psks=identity.psks, groups=groups(flags), clock=memory.clock)
    return ClientConfig(
        **for_either_role(flags, memory, identity, verify, log_key),
        grease="-enable-grease" in flags,
        own_certificate_types=certificate_types(flags, "-available-client-cert-types")
        or identity.types,
        peer_certificate_types=certificate_types(flags, "-accepted-peer-cert-types"),
        require_secure_renegotiation="-no-legacy-server-connect" in flags,
        psks=identity.psks,
        trust=trust(flags) if flags.text("-trust-cert") or not identity.psks else None,
        verify_on_resumption=True,
        alpn_protocols=list(split_protocols(flags.octets("-advertise-alpn"))),
        key_shares=key_shares(flags),
        ocsp_stapling="-enable-ocsp-stapling" in flags,
        timestamps="-enable-signed-cert-timestamps" in flags,
        resumption="-no-ticket" not in flags,
        session_store=memory,
        session_context=b"BoGo",
        ech=ech_source(flags),
    )


def server_config(
    flags: Flags,
    memory: Memory,
    identity: Identity,
    verify: Verification,
    log_key: Callable[[str], object],
) -> ServerConfig:
    client_auth: Literal["none", "optional", "required"] = "none"
    if "-verify-peer" in flags:
        client_auth = "optional"
    elif "-require-any-client-certificate" in flags:
        client_auth = "required"
    protocols: list[str | bytes] = []
    if "-reject-alpn" in flags:
        protocols = [NO_PROTOCOL]
    elif flags.text("-select-alpn"):
        protocols = [flags.octets("-select-alpn")]
    if flags.text("-use-client-ca-list") not in (None, "<EMPTY>", "<NULL>"):
        raise Unimplemented("CAs of which there is only the name")
    if identity.psks and not identity.has_any:
        return ServerConfig(psks=identity.find_psk, groups=groups(flags), clock=memory.clock)
    return ServerConfig(
        **for_either_role(flags, memory, identity, verify, log_key),
        grease=True,  # which no flag asks for
        psks=identity.find_psk if identity.psks else (),
        client_auth=client_auth,
        peer_certificate_types=None
        if client_auth == "none"
        else certificate_types(flags, "-accepted-peer-cert-types"),
        retry_for_group="always",
        alpn_protocols=protocols,
        ticket_keys=memory.no_ticket_keys if "-no-ticket" in flags else memory.ticket_keys,
        ticket_store=memory.ticket_store,
        max_early_data_size=MAX_EARLY_DATA_SIZE
        if "-enable-early-data" in flags and "TLSv1.3" in versions(flags)
        else 0,
        anti_replay_cache=memory.anti_replay_cache,
        tickets=0 if "-no-ticket" in flags or "-skip-ticket" in flags else 2,
        ech_keys=ech_keys(flags),
        ech_trial_decryption=True,  # the runner has two keys of one id
    )


def certificate_types(flags: Flags, name: str) -> list[str] | None:
    """The types of certificates that a flag lists; None without it."""
    return [CertificateType(code).name for code in flags.numbers(name)] or None


def for_either_role(
    flags: Flags,
    memory: Memory,
    identity: Identity,
    verify: Verification,
    log_key: Callable[[str], object],
) -> dict[str, Any]:
    return {
        "versions": versions(flags),
        "key_log": log_key,
        "select_credentials": identity.select,
        "verify": verify,
        "verify_replaces_builtin": True,
        "clock": memory.clock,
        "cipher_suites": cipher_suites(flags),
        "groups": groups(flags),
        "signature_schemes": schemes(flags),
        "certificate_compression": certificate_compression(flags)
        if "TLSv1.3" in versions(flags)
        else (),
        "max_fragment_size": fragment_size(flags),
    }


def ech_source(flags: Flags) -> ECHSource | None:
    """Return the ECH configurations.

    BoringSSL sends a GREASE value if none can be used. That is what a function is for: a list
    without a usable configuration is an error, as with ``-reject-unusable-ech-config``.
    """
    configs, greases = flags.base64("-ech-config-list"), "-enable-ech-grease" in flags
    if configs:
        return (lambda _name: configs) if greases else configs
    return "grease" if greases else None


def ech_keys(flags: Flags) -> list[ECHKey]:
    """Return the keys: those whose configurations are sent after a rejection come first."""
    configs, keys = flags.all_base64("-ech-server-config"), flags.all_base64("-ech-server-key")
    current = flags.numbers("-ech-is-retry-config")
    made = [ech_key(config, key) for config, key in zip(configs, keys, strict=True)]
    numbers = sorted(range(len(made)), key=lambda number: -current[number])
    return [made[number] for number in numbers]


def ech_key(config: bytes, key: bytes) -> ECHKey:
    (decoded,) = decode_config_list(len(config).to_bytes(2) + config)
    private_key = X25519PrivateKey.from_private_bytes(key)
    return ECHKey(decoded, private_key, X25519Key(private_key))


def trust(flags: Flags) -> TrustStore:
    """Something, as the platform's would take long to read; ``verify`` decides in any case."""
    path = flags.text("-trust-cert")
    if path is None:
        raise Unimplemented("a client without -trust-cert")
    if not path:  # the server has a raw public key
        return ANY_TRUST
    return TrustStore.from_pem_file(path)


def cipher_suites(flags: Flags) -> list[str]:
    """The suites of TLS 1.3, and those of TLS 1.2 that ``-cipher`` names.

    Of the syntax of OpenSSL's lists this knows names, groups of equal preference, which our
    servers do not have, ``DEFAULT``, ``!AES`` and ``AES128``.
    """
    of_12 = [suite.name for suite in CIPHER_SUITES_12.values()]
    if (wanted := flags.text("-cipher")) is not None:
        words = wanted.translate({ord("["): None, ord("]"): None, ord("|"): ":"}).split(":")
        if "DEFAULT" not in words:
            of_12 = [name for word in words for name in of_12 if word in (name, alias(name))]
        if "!AES" in words:
            of_12 = [name for name in of_12 if "_AES_" not in name]
    return [suite.name for suite in CIPHER_SUITES.values()] + of_12


def alias(name: str) -> str | None:
    """What OpenSSL's lists call all suites with this cipher."""
    return "AES128" if "_AES_128_" in name else None


def groups(flags: Flags) -> list[str]:
    if not (codes := flags.numbers("-curves")):
        return [group.name for group in DEFAULT_GROUPS]
    unknown = [code for code in codes if code not in GROUPS]
    if unknown:
        raise Unimplemented(f"groups {unknown}")
    return [GROUPS[code].name for code in codes]


def key_shares(flags: Flags) -> list[str] | None:
    """What a program does that knows which groups the server has, or chooses by itself."""
    known = flags.numbers("-server-supported-groups-hint")
    for name in groups(flags):
        if any(code in GROUPS and GROUPS[code].name == name for code in known):
            return [name]
    if chosen := flags.numbers("-key-shares"):
        return [GROUPS[code].name for code in chosen]
    return [] if "-no-key-shares" in flags else None


def schemes(flags: Flags) -> list[str]:
    """What the peer may sign with.

    Schemes that we would never offer are left out; a peer that uses one is refused all the same.
    TLS 1.2 is offered in any case, with the default schemes if it has none of the wanted ones.
    """
    known = set(CERTIFICATE_VERIFY_SCHEMES)
    if "-server" not in flags:
        known -= set(CLIENT_ONLY_SCHEMES)
    wanted = [SignatureScheme(c) for c in flags.numbers("-verify-prefs") if c in known]
    if "TLSv1.2" in versions(flags) and not schemes_of_12(tuple(wanted)):
        wanted += DEFAULT_SCHEMES
    return [scheme.name for scheme in wanted or DEFAULT_SCHEMES]


def fragment_size(flags: Flags) -> int:
    """What a record carries; each of several writes is to be one."""
    if "-repeat-shim-initial-write" in flags:
        return len(flags.octets("-shim-initial-write"))
    return flags.number("-max-send-fragment", MAX_PLAINTEXT_LENGTH)


def split_protocols(wire: bytes) -> Generator[bytes]:
    while wire:
        length, wire = wire[0], wire[1:]
        yield wire[:length]
        wire = wire[length:]
