"""Certificate, CertificateVerify and Finished: wrong certificates, signatures and MACs."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, TypeAlias

from deviations import (
    Row,
    altered,
    but,
    one_bit_wrong,
    rows,
    signed,
    wrong_finished,
)
from scripted_clients import CertifiedClientPeer
from scripted_peer import (
    CLIENT_CONTEXT,
    SERVER_CONTEXT,
    SERVER_NAME,
    Peer,
    authority,
    credentials,
    strangers_credentials,
)
from scripted_servers import AskingServerPeer, ServerPeer

from trio_tlsx.config.common import DEFAULT_MAX_CHAIN_LENGTH
from trio_tlsx.crypto.signatures import SignatureScheme
from trio_tlsx.errors import AlertDescription as A
from trio_tlsx.messages.handshake import Certificate, CertificateEntry, Finished
from trio_tlsx.pki.credentials import Credentials

PEERS = (AskingServerPeer, CertifiedClientPeer)


GREASE = 0x1A1A


Change: TypeAlias = Callable[[bytes], bytes]


NOT_OFFERED = {
    "rsa_pkcs1_sha1": 0x0201,
    "ecdsa_sha1": 0x0203,
    "none": 0x0000,
    "grease": GREASE,
    "ecdsa_brainpoolP256r1tls13": 0x081A,
    # Offered for certificates alone (RFC 9846 4.3.3).
    "rsa_pkcs1_sha256": 0x0401,
    "rsa_pkcs1_sha512": 0x0601,
    # Known, but not offered by default; the first (RFC 9963) not to a server ever.
    "rsa_pkcs1_sha256_legacy": 0x0420,
    "mldsa44": 0x0904,
}


OF_OTHER_KEYS = (
    SignatureScheme.ed25519,
    SignatureScheme.ed448,
    SignatureScheme.rsa_pss_rsae_sha256,
    SignatureScheme.rsa_pss_pss_sha256,
    SignatureScheme.ecdsa_secp384r1_sha384,
    SignatureScheme.ecdsa_secp521r1_sha512,
)


def context_of(peer: Peer) -> bytes:
    return SERVER_CONTEXT if isinstance(peer, ServerPeer) else CLIENT_CONTEXT


def other_context(peer: Peer) -> bytes:
    return CLIENT_CONTEXT if isinstance(peer, ServerPeer) else SERVER_CONTEXT


def signature_with(change: Change) -> Any:
    return altered(lambda m: replace(m, signature=change(m.signature)))


SIGNATURES = {
    "by-another-key": signed(lambda p: p.sign(context_of(p), by=strangers_credentials)),
    "for-the-other-role": signed(lambda p: p.sign(other_context(p))),
    "for-no-role": signed(lambda p: p.sign(b"")),
    "of-another-transcript": signed(lambda p: p.sign(context_of(p), transcript_hash=bytes(32))),
    "of-the-transcript-of-no-messages": signed(
        lambda p: p.sign(context_of(p), transcript_hash=b"")
    ),
    "first-bit": signature_with(one_bit_wrong),
    "last-bit": signature_with(lambda s: one_bit_wrong(s, -1)),
    "empty": but(signature=b""),
    "zeros": but(signature=bytes(64)),
    "cut-short": signature_with(lambda s: s[:-1]),
    "one-octet-more": signature_with(lambda s: s + b"\0"),
    "of-zero-and-zero": but(signature=bytes.fromhex("3006020100020100")),
}


def certificate_of(*entries: bytes) -> Any:
    return but(certificate_list=tuple(CertificateEntry(der, {}) for der in entries))


def authentication() -> Iterator[Row]:
    table = partial(rows, peers=PEERS)
    yield from table(
        "4.5.2",
        places=["certificate_verify"],
        deviations={f"signature-{what}": deviation for what, deviation in SIGNATURES.items()},
        alert=A.decrypt_error,
    )
    schemes = {f"scheme-{what}": but(algorithm=code) for what, code in NOT_OFFERED.items()}
    schemes |= {f"scheme-{s.name}": but(algorithm=int(s)) for s in OF_OTHER_KEYS}
    yield from table(
        "4.5.2", places=["certificate_verify"], deviations=schemes, alert=A.illegal_parameter
    )
    yield from table(
        "4.5.3",
        places=["finished"],
        deviations={
            **{f"wrong-in-octet-{at}": wrong_finished(at) for at in (0, 1, 15, 16, 30, 31)},
            "of-zeros": but(verify_data=bytes(32)),
            "of-the-other-transcript": finished_early,
        },
        alert=A.decrypt_error,
    )
    yield from table(
        "6.2",
        places=["finished"],
        deviations={
            "of-31-octets": altered(lambda m: Finished(m.verify_data[:31])),
            "of-33-octets": altered(lambda m: Finished(m.verify_data + b"\0")),
            "of-12-octets": altered(lambda m: Finished(m.verify_data[:12])),
            "of-48-octets": but(verify_data=bytes(48)),
        },
        alert=A.decode_error,
    )
    der = credentials.der_chain[0]
    yield from table(
        "6.2",
        places=["certificate"],
        deviations={
            "of-garbage": certificate_of(b"garbage"),
            "of-one-octet": certificate_of(b"\x30"),
            "of-one-cut-short": certificate_of(der[:-1]),
            "of-one-with-trailing-octet": certificate_of(der + b"\0"),
            "with-garbage-behind-it": certificate_of(der, b"garbage"),
            "of-too-many-certificates": certificate_of(*[der] * (DEFAULT_MAX_CHAIN_LENGTH + 1)),
        },
        alert=A.bad_certificate,
    )
    yield from table(
        "4.5.1.3",
        places=["certificate"],
        deviations={"of-a-stranger": of_a_stranger},
        alert=A.decrypt_error,
    )
    yield from table(
        "4.5.1",
        places=["certificate"],
        deviations={
            "with-a-context": but(certificate_request_context=b"c"),
            "with-a-long-context": but(certificate_request_context=bytes(255)),
        },
        alert=A.illegal_parameter,
    )
    yield from rows(
        "4.5.1.3", [AskingServerPeer], ["certificate"], {"none": certificate_of()}, A.decode_error
    )
    yield from rows(
        "4.5.1.3",
        [CertifiedClientPeer],
        ["certificate"],
        {"none": certificate_of()},
        A.certificate_required,
    )
    yield from rows(
        "4.4.2",
        [AskingServerPeer],
        ["certificate_request"],
        {"with-a-context": but(certificate_request_context=b"c")},
        A.illegal_parameter,
    )


def finished_early(peer: Peer, message: Any) -> None:
    """Over what will only be the transcript behind it."""
    peer.transcript.add(b"something else")
    peer.send(peer.finished())


def of_a_stranger(peer: Peer, message: Any) -> None:
    """With a certificate of somebody else, whose key this peer does not hold."""
    chain = strangers_credentials.der_chain
    peer.send(Certificate(b"", tuple(CertificateEntry(der, {}) for der in chain)))


def as_somebody_else(who: Credentials) -> Any:
    """With a certificate whose key this peer does hold, but that says who it is."""

    def deviation(peer: Peer, message: Any) -> None:
        peer.signer = who
        peer.send(peer.certificate())

    return deviation


LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


EXPIRED = authority.issue(
    SERVER_NAME, not_before=LONG_AGO, not_after=LONG_AGO + datetime.timedelta(days=9)
)


class WithoutOurScheme(AskingServerPeer):
    """A server that signs in a scheme that its key has, but that was not offered."""

    engine_config: ClassVar = replace(
        AskingServerPeer.engine_config, signature_schemes=["ed25519"]
    )


class ClientWithoutOurScheme(CertifiedClientPeer):
    """Likewise."""

    engine_config: ClassVar = replace(
        CertifiedClientPeer.engine_config, signature_schemes=["ed25519"]
    )


def identities() -> Iterator[Row]:
    stranger = {"of-an-unknown-ca": as_somebody_else(strangers_credentials)}
    yield from rows("4.5.1.3", PEERS, ["certificate"], stranger, A.unknown_ca)
    expired = {"expired": as_somebody_else(EXPIRED)}
    yield from rows("4.5.1.3", PEERS, ["certificate"], expired, A.certificate_expired)
    other = {"for-another-name": as_somebody_else(authority.issue("other.example"))}
    yield from rows("4.5.1.3", [AskingServerPeer], ["certificate"], other, A.bad_certificate)
    unwanted = {"in-a-scheme-that-is-not-wanted": altered(lambda m: m)}
    peers = (WithoutOurScheme, ClientWithoutOurScheme)
    yield from rows("4.5.2", peers, ["certificate_verify"], unwanted, A.illegal_parameter)


ROWS = [*authentication(), *identities()]
