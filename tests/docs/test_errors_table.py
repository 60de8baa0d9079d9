"""The table in docs/errors.md: each row describes what happens, on both engines."""

from __future__ import annotations

import dataclasses
import datetime
import importlib
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from cryptography import x509
from engine_pairs import plain
from error_scenarios import (
    CA_OF_ALL,
    NATIVE_CLIENT,
    NATIVE_SERVER,
    PSK,
    SCENARIOS,
    SECONDS,
    SERVER_NAME,
    Line,
    Outcome,
    Subject,
    after_handshake,
    alerts_of,
    blocked_and_cancelled,
    established,
    failure,
    happens,
    meet,
    meet_plain,
    native_line,
    openssl_line,
    over,
    server_with,
    sockets,
    table,
    use,
    use_against,
)
from hellos import first_hello
from pairs12 import changed_hello
from raw_key_pairs import OTHER_KEY, SERVER_KEY, trusting

from trio_tlsx import ClientConfig, ECHKey, ExternalPSK, ServerConfig, TLSError
from trio_tlsx.handshake.server import FALLBACK_SCSV
from trio_tlsx.messages.extensions import ExtensionType
from trio_tlsx.messages.handshake import ServerHello, encode_message
from trio_tlsx.testing import CA

# What happens


@happens("the peer sent an unexpected message")
async def _(subject: Subject) -> Outcome:
    finished = b"\x14\0\0\x20" + bytes(32)
    return await meet_plain(
        subject.server_config(), b"\x16\3\3" + len(finished).to_bytes(2) + finished
    )


@happens("the peer sent a message that cannot be decoded")
async def _(subject: Subject) -> Outcome:
    hello = b"\1\0\0\4\3\3\0\0"
    return await meet_plain(subject.server_config(), b"\x16\3\1" + len(hello).to_bytes(2) + hello)


@happens("a record was modified in transit")
async def _(subject: Subject) -> Outcome:
    return await after_handshake(subject, b"\x17\3\3\0\x20" + bytes(32))


@happens("the peer sent a record that is too long")
async def _(subject: Subject) -> Outcome:
    return await after_handshake(subject, b"\x17\3\3\xff\xff" + bytes(2**16 - 1))


@happens("the peer does not speak TLS")
async def _(subject: Subject) -> Outcome:
    return await meet_plain(
        subject.server_config(), b"GET / HTTP/1.1\r\nHost: test.example\r\n\r\n"
    )


@happens("the two sides have no version in common")
async def _(subject: Subject) -> Outcome:
    config = subject.server_config()
    if isinstance(config, ssl.SSLContext):
        config.minimum_version = ssl.TLSVersion.TLSv1_3
    else:
        config = dataclasses.replace(config, versions=["TLSv1.3"])
    old = ssl.create_default_context(cadata=CA_OF_ALL.pem.decode())
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = old.wrap_bio(into, out, server_hostname=SERVER_NAME)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return await meet_plain(config, out.read())


@happens("the two sides have no key exchange group in common")
async def _(subject: Subject) -> Outcome:
    config = subject.server_config()
    if isinstance(config, ssl.SSLContext):
        config.set_ecdh_curve("secp384r1")
    else:
        config = dataclasses.replace(config, groups=["secp384r1"])
    return await meet(config, dataclasses.replace(NATIVE_CLIENT, groups=["secp256r1"]))


@happens("the two sides have no signature scheme in common")
async def _(subject: Subject) -> Outcome:
    return await meet(
        subject.server_config(),
        dataclasses.replace(NATIVE_CLIENT, signature_schemes=["rsa_pss_rsae_sha256"]),
    )


@happens("the two sides have no application protocol in common")
async def _(subject: Subject) -> Outcome:
    assert subject.native
    return await meet(
        dataclasses.replace(NATIVE_SERVER, alpn_protocols=["h2"]),
        dataclasses.replace(NATIVE_CLIENT, alpn_protocols=["http/1.1"]),
    )


@happens("`select_credentials` returned None for the server name")
async def _(subject: Subject) -> Outcome:
    assert subject.native
    return await meet(ServerConfig(select_credentials=lambda hello: None), NATIVE_CLIENT)


@happens(
    "the client has the wrong pre-shared key; "
    "or the server has only pre-shared keys, and none with the client's identity"
)
async def _(subject: Subject) -> Outcome:
    assert subject.native
    stranger = ExternalPSK(b"client 2", bytes(32))
    return await meet(ServerConfig(psks=[PSK]), ClientConfig(psks=[stranger]))


@happens(
    "the client asks for a certificate together with a pre-shared key, "
    "and the server uses the key alone"
)
async def _(subject: Subject) -> Outcome:
    assert subject.native
    config = dataclasses.replace(NATIVE_CLIENT, psks=[PSK], certificate_with_psk="optional")
    return await meet(config, dataclasses.replace(NATIVE_SERVER, psks=[PSK]))


@happens(
    '`certificate_with_psk="required"`, and the peer has no such key or does not support this'
)
async def _(subject: Subject) -> Outcome:
    assert subject.native
    config = dataclasses.replace(NATIVE_CLIENT, psks=[PSK], certificate_with_psk="required")
    return await meet(config, NATIVE_SERVER)


@happens("the client accepts only pre-shared keys, and the server has only certificates")
async def _(subject: Subject) -> Outcome:
    assert subject.native
    return await meet(ClientConfig(psks=[PSK]), NATIVE_SERVER)


@happens("the two sides have no certificate type in common")
async def _(subject: Subject) -> Outcome:
    assert subject.native
    return await meet(ServerConfig(credentials=SERVER_KEY), NATIVE_CLIENT)


@happens("the peer's raw public key is not trusted")
async def _(subject: Subject) -> Outcome:
    assert subject.native
    client = ClientConfig(trust=trusting(OTHER_KEY))
    return await meet(client, ServerConfig(credentials=SERVER_KEY))


@happens("the peer's certificate is from an untrusted CA")
async def _(subject: Subject) -> Outcome:
    return await meet(subject.client_config(trusting=CA()), NATIVE_SERVER)


@happens("the peer's certificate has expired")
async def _(subject: Subject) -> Outcome:
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    expired = CA_OF_ALL.issue(SERVER_NAME, not_before=now - 2 * day, not_after=now - day)
    return await meet(subject.client_config(), server_with(expired))


@happens("the server's certificate is for another name")
async def _(subject: Subject) -> Outcome:
    other = CA_OF_ALL.issue("other.example")
    return await meet(subject.client_config(), server_with(other))


@happens("the name constraints of a CA exclude the peer's certificate")
async def _(subject: Subject) -> Outcome:
    constraints = x509.NameConstraints([x509.DNSName("other.example")], None)
    ca = CA(extensions=[(constraints, True)])
    return await meet(subject.client_config(ca), server_with(ca.issue(SERVER_NAME)))


@happens(
    "the peer's certificate has something that the built-in verifier does not support, "
    "such as critical policies"
)
async def _(subject: Subject) -> Outcome:
    assert subject.native
    policy = x509.PolicyInformation(x509.ObjectIdentifier("1.2.3.4"), None)
    policies = (x509.CertificatePolicies([policy]), True)
    odd = CA_OF_ALL.issue(SERVER_NAME, extensions=[policies])
    return await meet(subject.client_config(), server_with(odd))


@happens("the peer sent more certificates than `max_chain_length`")
async def _(subject: Subject) -> Outcome:
    assert subject.native
    ca = CA()
    config = ClientConfig(trust=ca.trust, max_chain_length=2)
    long = ca.intermediate("one").intermediate("two").issue(SERVER_NAME)
    return await meet(config, server_with(long))


@happens("the server requires a client certificate, and the client sent none")
async def _(subject: Subject) -> Outcome:
    config = subject.server_config()
    if isinstance(config, ssl.SSLContext):
        config.verify_mode = ssl.CERT_REQUIRED
    else:
        config = dataclasses.replace(config, client_auth="required", client_trust=CA_OF_ALL.trust)
    return await meet(config, NATIVE_CLIENT)


@happens("a hook or a signer of this side failed")
async def _(subject: Subject) -> Outcome:
    assert subject.native

    def select(hello: object) -> None:
        raise KeyError("the database")

    outcome = await meet(ServerConfig(select_credentials=select), NATIVE_CLIENT)
    assert outcome.error.__cause__ is not None
    assert isinstance(outcome.error.__cause__.__cause__, KeyError)
    return outcome


@happens("the peer rejected the connection, for example our certificate")
async def _(subject: Subject) -> Outcome:
    return await meet(
        subject.server_config(), dataclasses.replace(NATIVE_CLIENT, trust=CA().trust)
    )


@happens("the peer ended the connection during this side's handshake")
async def _(subject: Subject) -> Outcome:
    warnings = b"\x15\3\3\0\2\1\x5a" + b"\x15\3\3\0\2\1\0"
    outcome = await meet_plain(subject.server_config(), warnings)
    return dataclasses.replace(outcome, from_peer=("user_canceled", "close_notify"))


@happens("the peer closed the connection before it sent anything")
async def _(subject: Subject) -> Outcome:
    return await meet_plain(subject.server_config())


@happens("the transport ended without `close_notify`")
async def _(subject: Subject) -> Outcome:
    us, peer = await established(subject)
    await peer.transport_stream.aclose()
    return Outcome(await use(us))


@happens("the transport failed, for example by a reset")
async def _(subject: Subject) -> Outcome:
    ours, peer = await sockets()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    await peer.aclose()
    return Outcome(await use(over(ours, subject.server_config())))


@happens("the handshake took longer than `handshake_timeout`")
async def _(subject: Subject) -> Outcome:
    ours, peer = await sockets()
    us = over(ours, subject.server_config(), handshake_timeout=0)
    return await use_against(us, peer)


@happens("this side cancelled the handshake midway")
async def _(subject: Subject) -> Outcome:
    ours, peer = await sockets()
    us = over(ours, subject.client_config())
    await blocked_and_cancelled(us.do_handshake)
    return await use_against(us, peer)


@happens("`send_eof` or `unwrap` after a `send_all` that was cancelled midway")
async def _(subject: Subject) -> Outcome:
    us, peer = await established(subject)
    await blocked_and_cancelled(us.send_all, bytes(2**26))
    error = await failure(us.send_eof)
    assert type(await failure(us.unwrap)) is type(error)
    await us.aclose()
    peer_error = await use(peer)
    return Outcome(error, *alerts_of(peer_error))


@happens(
    "`send_all` after a `send_all` that was cancelled midway, over a transport without a socket"
)
async def _(subject: Subject) -> Outcome:
    ours, theirs = trio.testing.lockstep_stream_pair()
    us, peer = over(ours, subject.server_config()), over(theirs, NATIVE_CLIENT)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(us.do_handshake)
        nursery.start_soon(peer.do_handshake)
    await blocked_and_cancelled(us.send_all, bytes(2**20))
    error = await failure(us.send_all, b"x")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(us.aclose)
        peer_error = await use(peer)
    return Outcome(error, *alerts_of(peer_error))


@happens("`unwrap` while received data is unread")
async def _(subject: Subject) -> Outcome:
    us, peer = await established(subject)
    await peer.send_all(b"x")
    error = await failure(us.unwrap)
    await us.aclose()
    assert await peer.receive_some() == b""
    await peer.aclose()
    return Outcome(error, to_peer=("close_notify",))


@happens("`send_all` after `send_eof`")
async def _(subject: Subject) -> Outcome:
    us, peer = await established(subject)
    await us.send_eof()
    error = await failure(us.send_all, b"x")
    assert await peer.receive_some() == b""
    await us.aclose()
    await peer.aclose()
    return Outcome(error, to_peer=("close_notify",))


@happens("any call after `aclose`")
async def _(subject: Subject) -> Outcome:
    us, peer = await established(subject)
    await us.aclose()
    error = await failure(us.receive_some)
    assert type(await failure(us.send_all, b"x")) is type(error)
    assert await peer.receive_some() == b""
    await peer.aclose()
    return Outcome(error, to_peer=("close_notify",))


@happens("two tasks call the same method concurrently")
async def _(subject: Subject) -> Outcome:
    us, peer = await established(subject)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(us.receive_some)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError) as caught:
            await us.receive_some()
        await peer.send_all(b"to the first")
    await trio.aclose_forcefully(us)
    await trio.aclose_forcefully(peer)
    return Outcome(caught.value)


@happens("`negotiated` is read before the handshake")
async def _(subject: Subject) -> Outcome:
    ours, peer = await sockets()
    async with ours, peer:
        with pytest.raises(trio.NeedHandshakeError) as caught:
            _ = over(ours, subject.server_config()).negotiated
    return Outcome(caught.value)


# TLS 1.2


def client_hello(extensions: Mapping[int, None] | None = None, **fields: Any) -> bytes:
    """A ClientHello of TLS 1.2 without these extensions, in a record."""
    with changed_hello(extensions, **fields):
        hello = first_hello(dataclasses.replace(NATIVE_CLIENT, versions=["TLSv1.2"]), SERVER_NAME)
    return plain(encode_message(hello))


def server_hello(random: bytes) -> bytes:
    """A ServerHello of TLS 1.2 without extensions, in a record."""
    return plain(encode_message(ServerHello(0x0303, random, b"", 0xC02B, 0, {})))


@happens("in TLS 1.2, the two sides have no cipher suite in common")
async def _(subject: Subject) -> Outcome:
    static_rsa = (0x009C,)
    return await meet_plain(subject.server_config(), client_hello(cipher_suites=static_rsa))


@happens("the server rejects the encrypted ClientHello")
async def _(subject: Subject) -> Outcome:
    assert subject.native
    key = ECHKey.generate("public.example")
    ours = dataclasses.replace(NATIVE_CLIENT, ech=key.config_list)
    return await meet(ours, server_with(CA_OF_ALL.issue(SERVER_NAME, "public.example")))


@happens(
    "the server rejects the encrypted ClientHello, and its certificate is not for the public name"
)
async def _(subject: Subject) -> Outcome:
    assert subject.native
    key = ECHKey.generate("public.example")
    ours = dataclasses.replace(NATIVE_CLIENT, ech=key.config_list)
    return await meet(ours, server_with(CA_OF_ALL.issue(SERVER_NAME)))


@happens("in TLS 1.2, the server requires a client certificate, and the client sent none")
async def _(subject: Subject) -> Outcome:
    config = subject.server_config()
    if isinstance(config, ssl.SSLContext):
        config.verify_mode = ssl.CERT_REQUIRED
    else:
        config = dataclasses.replace(config, client_auth="required", client_trust=CA_OF_ALL.trust)
    return await meet(config, dataclasses.replace(NATIVE_CLIENT, versions=["TLSv1.2"]))


@happens("in TLS 1.2, the server does not signal secure renegotiation")
async def _(subject: Subject) -> Outcome:
    return await meet_plain(subject.client_config(), server_hello(bytes(32)))


@happens(
    "in TLS 1.2, the peer has no extended master secret, and `require_extended_master_secret` "
    "is set"
)
async def _(subject: Subject) -> Outcome:
    assert subject.native
    config = dataclasses.replace(NATIVE_SERVER, require_extended_master_secret=True)
    return await meet_plain(config, client_hello({ExtensionType.extended_master_secret: None}))


@happens("a server with TLS 1.3 selects TLS 1.2, because something altered the ClientHello")
async def _(subject: Subject) -> Outcome:
    return await meet_plain(subject.client_config(), server_hello(bytes(24) + b"DOWNGRD\x01"))


@happens("a client fell back to TLS 1.2, but this server has TLS 1.3")
async def _(subject: Subject) -> Outcome:
    fallback = (0xC02B, FALLBACK_SCSV)
    return await meet_plain(subject.server_config(), client_hello(cipher_suites=fallback))


# The table and what happens


def qualified(name: str) -> type[BaseException]:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module or "builtins"), attribute)


LINES = [("native", native_line(cells)) for cells in table()] + [
    ("openssl", line) for cells in table() if (line := openssl_line(cells)) is not None
]


def test_errors_table_has_a_scenario_for_each_line() -> None:
    assert [cells[0] for cells in table()] == list(SCENARIOS)


@pytest.mark.parametrize(
    ("engine", "line"), LINES, ids=[f"{engine}: {line.what}" for engine, line in LINES]
)
async def test_errors_table_line(engine: str, line: Line, tmp_path: Path) -> None:
    with trio.fail_after(SECONDS):
        seen = await SCENARIOS[line.what](Subject(engine, tmp_path))
    assert type(seen.error) is qualified(line.exception)
    assert str(seen.error)
    cause = seen.error.__cause__
    assert type(cause) is (qualified(line.cause) if line.cause else type(None))
    assert seen.to_peer == line.to_peer
    assert seen.from_peer == line.from_peer
    if isinstance(cause, TLSError) and cause.alert is not None:
        alerts = line.to_peer if cause.refused_by == "us" else line.from_peer
        assert cause.alert.name == alerts[-1]
