"""A server's handshake up to the ClientHello, which selects the version of the rest."""

from __future__ import annotations

from collections.abc import Sequence

from ..config.server import ServerConfig, ServerParameters
from ..errors import AlertDescription, NegotiationError
from ..messages import info
from ..messages.handshake import ClientHello
from ..messages.versions import TLS13
from ..pki.credentials import Credentials
from . import server13
from .established import Completed
from .hello import select_version
from .questions import CredentialsWanted
from .server13_hello import check_client_hello
from .steps import Handshake, Steps

__all__ = ["server_handshake"]

#: What checks a ClientHello, and the rest of the handshake, by version.
VERSIONS = {TLS13: (check_client_hello, server13.run)}


def server_handshake(hs: Handshake, config: ServerParameters) -> Steps[Completed]:
    """Perform the server's side of a handshake."""
    hello = yield from hs.expect(ClientHello)
    check, continuation = VERSIONS[select_version(hello, VERSIONS)]
    check(hello)
    hs.incoming.accept_change_cipher_spec = True
    config, candidates = yield from select_config(hs, config, hello)
    hs.outgoing.fragment_length = config.max_fragment_size
    hs.log_keys(config.write_key_log, hello.random)
    return (yield from continuation(hs, config, candidates, hello))


def select_config(
    hs: Handshake, config: ServerParameters, hello: ClientHello
) -> Steps[tuple[ServerParameters, Sequence[Credentials]]]:
    """Select the configuration and the credentials; the hook is called before all else."""
    if config.select_credentials is None:
        return config, config.candidates
    request = info.ClientHello.of(hello)
    answer = yield from hs.ask(CredentialsWanted(request, config.select_credentials))
    if answer is None:
        raise NegotiationError(
            f"there is no server of the name {request.server_name!r} here",
            AlertDescription.unrecognized_name,
        )
    if isinstance(answer, ServerConfig):
        return answer.parameters, answer.parameters.candidates
    return config, answer
