"""Compare a connection with the expectations in the flags."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from cryptography import x509
from flags import Flags
from identity import Disappointed, Identity
from settings import Memory, Verification

from trio_tlsx.crypto.cipher_suites import CIPHER_SUITES
from trio_tlsx.crypto.cipher_suites12 import CIPHER_SUITES_12
from trio_tlsx.crypto.groups import GROUPS
from trio_tlsx.crypto.signatures import SignatureScheme
from trio_tlsx.engine.connection import Connection
from trio_tlsx.errors import ECHRejected
from trio_tlsx.handshake.wants import Want
from trio_tlsx.messages import extensions as ext
from trio_tlsx.pki.negotiated import Negotiated

__all__ = ["check_handshake", "check_rejection", "check_session"]

VERSIONS = {"TLSv1.3": 0x0304, "TLSv1.2": 0x0303}
SUITES = (*CIPHER_SUITES.values(), *CIPHER_SUITES_12.values())


def check_handshake(
    flags: Flags,
    connection: Connection,
    messages: Sequence[str],
    identity: Identity,
    verification: Verification,
    *,
    resuming: bool,
) -> None:
    """Check that the handshake settled what it should have."""
    settled = connection.negotiated
    check_parameters(flags, settled)
    if settled.resumed != (resuming and "-expect-session-miss" not in flags):
        raise Disappointed(f"resumed: {settled.resumed}")
    check_early_data(flags, settled)
    if settled.ech_accepted != ("-expect-ech-accept" in flags):
        raise Disappointed(f"ECH: {settled.ech_accepted}")
    if "-expect-extended-master-secret" in flags and not exports_keys(connection):
        raise Disappointed("no extended master secret")
    retried = messages.count("server_hello") == 2
    if ("-expect-no-hrr" if retried else "-expect-hrr") in flags:
        raise Disappointed(f"HelloRetryRequest: {retried}")
    if settled.psk_identity is None:
        check_certificates(flags, settled)
    if not settled.resumed:
        identity.selected = identity.selected_for(settled.psk_identity)
        check_authentication(flags, identity, verification)
    if connection.do_handshake() is not Want.NOTHING:
        raise Disappointed("a second do_handshake did something")


def check_early_data(flags: Flags, settled: Negotiated) -> None:
    unwanted = "-expect-reject-early-data", "-expect-no-offer-early-data"
    if settled.early_data_accepted:
        if any(flag in flags for flag in unwanted):
            raise Disappointed("early data was accepted")
    elif "-expect-accept-early-data" in flags:
        raise Disappointed("early data was not accepted")


def check_rejection(flags: Flags, rejection: ECHRejected) -> None:
    """Check which configurations the server of the public name sent."""
    expected = flags.base64("-expect-ech-retry-configs") or None
    is_checked = expected is not None or "-expect-no-ech-retry-configs" in flags
    if is_checked and rejection.retry_configs != expected:
        raise Disappointed(f"ECH configurations: {rejection.retry_configs!r}")


def check_parameters(flags: Flags, settled: Negotiated) -> None:
    group = next((g.code for g in GROUPS.values() if g.name == settled.group), 0)
    suite = next(s.code for s in SUITES if s.name == settled.cipher_suite)
    scheme = SignatureScheme[settled.signature_scheme] if settled.signature_scheme else 0
    expect_number(flags, "-expect-version", VERSIONS[settled.version])
    expect_number(flags, "-expect-curve-id", group)
    expect_number(flags, "-expect-cipher", suite)
    expect_number(flags, "-expect-peer-signature-algorithm", scheme)
    expect(flags, "-expect-server-name", settled.server_name)
    alpn = "-select-alpn" if "-server" in flags else "-expect-alpn"
    if (settled.alpn_protocol or "").encode("latin-1") != flags.octets(alpn):
        raise Disappointed(f"ALPN: {settled.alpn_protocol!r}")


def check_certificates(flags: Flags, settled: Negotiated) -> None:
    chain, key = settled.peer_certificates, settled.peer_raw_public_key
    expect_number(flags, "-expect-peer-certificate-type", 0 if key is None else 2)
    digest = b"" if key is None else hashlib.sha256(key.der).digest()
    if digest != flags.base64("-expect-peer-rpk-sha256") and "-expect-peer-rpk-sha256" in flags:
        raise Disappointed(f"raw public key: {key}")
    certificate_expected = "-server" not in flags or (
        "-require-any-client-certificate" in flags and "-verify-peer" not in flags
    )
    if "-expect-no-peer-cert" in flags:
        if chain or key:
            raise Disappointed("a certificate came")
    elif certificate_expected and not (chain or key):
        raise Disappointed("no certificate came")
    if (path := flags.text("-expect-peer-cert-file")) is not None:
        with open(path, "rb") as file:
            if list(chain) != x509.load_pem_x509_certificates(file.read()):
                raise Disappointed("another chain came")


def check_authentication(flags: Flags, identity: Identity, verification: Verification) -> None:
    """Check what only a full handshake shows: a session does not keep it."""
    if identity.selected is not None:
        expect_number(flags, "-expect-selected-credential", identity.selected)
    peer = verification.peer
    response = peer.ocsp_response if peer else None
    if "-expect-ocsp-response" in flags and response != flags.base64("-expect-ocsp-response"):
        raise Disappointed(f"OCSP response: {response!r}")
    timestamps = peer.timestamps if peer else ()
    wanted = flags.base64("-expect-signed-cert-timestamps")
    if wanted and ext.encode_timestamps(timestamps) != wanted:
        raise Disappointed(f"signed certificate timestamps: {timestamps!r}")


def exports_keys(connection: Connection) -> bool:
    """Whether there is an exporter: not in TLS 1.2 without the extended master secret."""
    return connection.channel_binding("tls-exporter") is not None


def check_session(flags: Flags, memory: Memory, connection: Connection) -> None:
    """Check whether a client was given a session.

    A server of TLS 1.3 has sent none if the shim shuts down at once. A session of TLS 1.2 without
    the extended master secret is never resumed, and so not kept (RFC 7627 5.3).
    """
    too_early = "-shim-shuts-down" in flags and connection.negotiated.version == "TLSv1.3"
    expected = "-expect-no-session" not in flags and not too_early and exports_keys(connection)
    session = memory.session
    if (session is not None) != expected:
        raise Disappointed(f"session: {session}")
    takes_early_data = "-expect-ticket-supports-early-data" in flags
    if session is not None and (session.max_early_data_size > 0) != takes_early_data:
        raise Disappointed(f"early data: {session.max_early_data_size} bytes")


def expect_number(flags: Flags, name: str, actual: int) -> None:
    if name in flags and flags.number(name) != actual:
        raise Disappointed(f"{name} {flags.number(name):#06x}, but it is {actual:#06x}")


def expect(flags: Flags, name: str, actual: str | None) -> None:
    if name in flags and flags.text(name) != actual:
        raise Disappointed(f"{name} {flags.text(name)!r}, but it is {actual!r}")
