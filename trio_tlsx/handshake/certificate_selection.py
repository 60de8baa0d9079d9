"""Select the credentials that the peer supports."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeAlias

from ..config.client import ClientParameters
from ..crypto.signatures import SignatureScheme
from ..messages import info
from ..messages.certificate_types import CertificateType
from ..pki.credentials import Credentials
from .questions import ClientCredentialsWanted
from .steps import Handshake, Steps

__all__ = ["Selected", "for_server", "select_client_credentials"]

#: The credentials to send, and the scheme to sign with.
Selected: TypeAlias = tuple[Credentials, SignatureScheme]

#: Returns the schemes that credentials can sign in; None stands for those of the signer.
SchemesOf: TypeAlias = Callable[[Credentials], Sequence[SignatureScheme]] | None


def for_server(
    candidates: Sequence[Credentials],
    schemes: Collection[int],
    server_name: str | None,
    schemes_of: SchemesOf = None,
) -> Selected | None:
    """Select credentials for the requested name (RFC 9846 4.5.1.2); None if none fit.

    A certificate with the very name goes before a wildcard, and either before the others, which
    serve only where nobody has that name. A raw public key, which has no name, is as good as a
    certificate with the very name. Among equals the first that can sign in a scheme of the
    client's does.
    """
    if server_name is None:
        return _first(candidates, schemes, schemes_of)
    exact = [c for c in candidates if server_name in c.dns_names or not c.chain]
    # RFC 9525 6.3: the star is the whole left-most label and stands for exactly one.
    wildcard = "*." + server_name.partition(".")[2]
    wild = [c for c in candidates if wildcard in c.dns_names]
    return _first(exact + wild or candidates, schemes, schemes_of)


def select_client_credentials(
    hs: Handshake,
    config: ClientParameters,
    request: info.CertificateRequest,
    schemes_of: SchemesOf = None,
) -> Steps[Selected | None]:
    """Select the client's credentials for a request of the server; None if none fit."""
    candidates, authorities = config.candidates, request.authorities
    if config.select_credentials is not None:
        wanted = ClientCredentialsWanted(request, config.select_credentials)
        candidates = yield from hs.ask(wanted)
        authorities = ()  # the hook has taken them into account
    return for_client(
        candidates, request.signature_schemes, authorities, request.certificate_type, schemes_of
    )


def for_client(
    candidates: Iterable[Credentials],
    schemes: Collection[int],
    authorities: Collection[bytes],
    certificate_type: CertificateType,
    schemes_of: SchemesOf = None,
) -> Selected | None:
    """Select the first credentials of this type from one of these authorities; None if none fit.

    RFC 9846 4.5.1.2: where it names any, one of them should have issued a certificate of the
    chain. (Or be one, where a server trusts a client's certificate itself.) Nobody issues a raw
    public key.
    """
    candidates = [c for c in candidates if c.certificate_type == certificate_type]
    if authorities and certificate_type is CertificateType.X509:
        candidates = [c for c in candidates if not c.authorities.isdisjoint(authorities)]
    return _first(candidates, schemes, schemes_of)


def _first(
    candidates: Iterable[Credentials], schemes: Collection[int], schemes_of: SchemesOf
) -> Selected | None:
    # A set: a peer may offer thousands of schemes, and there may be hundreds of credentials.
    offered = frozenset(schemes)
    fitting = (
        (c, scheme)
        for c in candidates
        for scheme in (c.signer.schemes if schemes_of is None else schemes_of(c))
        if scheme in offered
    )
    return next(fitting, None)
