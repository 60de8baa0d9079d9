"""A server's handshake up to the ClientHello, which selects the version of the rest."""

from __future__ import annotations

from collections.abc import Sequence

from ..config.server import ServerConfig, ServerParameters
from ..errors import AlertDescription, NegotiationError
from ..messages import info
from ..messages.handshake import ClientHello
from ..messages.versions import TLS12, TLS13, VERSION_NAMES
from ..pki.credentials import Credentials
from ..record.message_reader import MessageRules
from ..record.message_rules12 import MessageRules12
from . import server13
from .ech_server import ECHReceived, open_hello
from .established import Completed
from .hello import select_version
from .questions import CredentialsWanted
from .server13_hello import check_client_hello
from .steps import Handshake, Steps

__all__ = ["server_handshake"]

FALLBACK_SCSV = 0x5600  # RFC 7507 2


def server_handshake(hs: Handshake, config: ServerParameters) -> Steps[Completed]:
    """Perform the server's side of a handshake."""
    hello = yield from hs.expect(ClientHello)
    ech = None
    if config.ech_keys.keys:
        hello, ech = open_hello(hs, config, hello)
    version = checked_version(hs, hello, config)
    versions = config.versions
    config, candidates = yield from select_config(hs, config, hello, ech)
    if config.versions != versions:
        hs.follow(MessageRules())
        version = checked_version(hs, hello, config)
    hs.outgoing.fragment_length = config.max_fragment_size
    hs.log_keys(config.write_key_log, hello.random)
    if version == TLS12:
        from .server12 import run as run_12  # most clients support TLS 1.3

        return (yield from run_12(hs, config, candidates, hello))
    return (yield from server13.run(hs, config, candidates, hello, ech))


def checked_version(hs: Handshake, hello: ClientHello, config: ServerParameters) -> int:
    """Select the version, and check the ClientHello by its rules.

    Raises:
        NegotiationError: there is no common version, or the client fell back to an older one
            although this server has a newer one (``inappropriate_fallback``, RFC 7507 3).
    """
    version = select_version(hello, config.versions)
    if FALLBACK_SCSV in hello.cipher_suites and version < max(config.versions):
        raise NegotiationError(
            f"this peer fell back to {VERSION_NAMES[version]}, but both sides may have "
            f"{VERSION_NAMES[max(config.versions)]}: something on the way broke its first try",
            AlertDescription.inappropriate_fallback,
        )
    if version == TLS12:
        from .server12_hello import check_client_hello_12

        hs.follow(MessageRules12())
        check_client_hello_12(hello)
    else:
        check_client_hello(hello)
    hs.incoming.accept_change_cipher_spec = version == TLS13
    return version


def select_config(
    hs: Handshake, config: ServerParameters, hello: ClientHello, ech: ECHReceived | None
) -> Steps[tuple[ServerParameters, Sequence[Credentials]]]:
    """Select the configuration and the credentials; the hook is called before all else."""
    if config.select_credentials is None:
        return config, config.candidates
    request = info.ClientHello.of(hello, encrypted=ech is not None and ech.is_accepted)
    answer = yield from hs.ask(CredentialsWanted(request, config.select_credentials))
    if answer is None:
        raise NegotiationError(
            f"there is no server of the name {request.server_name!r} here",
            AlertDescription.unrecognized_name,
        )
    if isinstance(answer, ServerConfig):
        return answer.parameters, answer.parameters.candidates
    return config, answer
