"""The options of ``trio-tlsx serve`` that each process of the server needs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509

from ..config.common import load_trust
from ..config.server import MAX_EARLY_DATA_ACCEPTED, ServerConfig
from ..errors import ConfigError
from ..pki.credentials import Credentials
from ..pki.ech import ECHKey
from ..pki.ech_keys import ECHKeys, check_public_names
from ..pki.pinning import spki_pin
from ..pki.reloading import ReloadingCredentials
from ..sessions.anti_replay import AntiReplayCache
from ..sessions.ticket_keys import TicketKeys
from .options import KeyFiles
from .services import ECHO, HTTP, Service

__all__ = ["ServerOptions", "reloads"]

logger: logging.Logger = logging.getLogger("trio_tlsx.cli")


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """Options as values that JSON has, since other processes get them.

    Attributes:
        cert: the file of the certificate chain; None with ``self_signed``.
        key: the file of its key.
        password: the password of the key.
        self_signed: a certificate and its key, in PEM.
        client_ca: the file of the CAs of the clients.
        ech_key: the file of the key of Encrypted Client Hello.
        alpn: the protocols to accept; None for those of the service.
        versions: the versions to allow.
        http: whether to serve the page instead of the echo.
        tickets: the number of tickets.
        early_data: whether to accept early data.
        log: the file of the log.
    """

    cert: str | None
    key: str | None
    password: str | None = field(repr=False)
    self_signed: Sequence[str] | None = field(repr=False)
    client_ca: str | None
    ech_key: str | None
    alpn: Sequence[str] | None
    versions: Sequence[str]
    http: bool
    tickets: int | None
    early_data: bool
    log: str | None

    @property
    def service(self) -> Service:
        """The service for each connection."""
        return HTTP if self.http else ECHO

    def load(
        self,
        ticket_keys: TicketKeys | None = None,
        anti_replay_cache: AntiReplayCache | None = None,
        ech_keys: ECHKeys | None = None,
    ) -> tuple[ServerConfig, x509.Certificate]:
        """Read the files; return the configuration and the server's own certificate.

        Args:
            ticket_keys: the ticket keys of all processes.
            anti_replay_cache: the anti-replay cache of all processes.
            ech_keys: the ECH keys of all processes; by default those of the file.

        Raises:
            ConfigError: a file or an option does not fit.
        """
        held = ECHKeys(self.load_ech_keys()) if ech_keys is None else ech_keys
        if self.cert is not None and self.key is not None:
            files = KeyFiles(Path(self.cert), Path(self.key), self.password)
            reloading = files.reloading(lambda now: check_public_names(held, (now,)))
            credentials, select = None, reloads(reloading)
            certificate = reloading.current.chain[0]
        else:
            cert, key = (text.encode() for text in self.self_signed or ("", ""))
            credentials, select = Credentials.from_pem(cert, key), None
            certificate = credentials.chain[0]
        config = ServerConfig(
            credentials=credentials,
            select_credentials=select,
            client_auth="none" if self.client_ca is None else "required",
            client_trust=(
                None if self.client_ca is None else load_trust("--client-ca", self.client_ca)
            ),
            ech_keys=held,
            alpn_protocols=self.service.alpn_protocols if self.alpn is None else self.alpn,
            versions=self.versions,
            tickets=self.tickets,
            ticket_keys=ticket_keys,
            max_early_data_size=MAX_EARLY_DATA_ACCEPTED if self.early_data else 0,
            anti_replay_cache=anti_replay_cache,
        )
        return config, certificate

    def load_ech_keys(self) -> Sequence[ECHKey]:
        """Load the key of ``--ech-key``, if there is one; ConfigError names its file."""
        if self.ech_key is None:
            return ()
        try:
            return [ECHKey.from_pem(Path(self.ech_key).read_bytes())]
        except ConfigError as error:
            raise ConfigError(f"--ech-key: the file {self.ech_key}: {error}") from error


def reloads(credentials: ReloadingCredentials) -> Callable[[object], Credentials]:
    """Return a ``select_credentials`` that logs when the files were reloaded."""

    def select(request: object) -> Credentials:
        before = credentials.current
        now = credentials(request)
        if now is not before:
            logger.info("certificate reloaded, public key pin %s", spki_pin(now.chain[0]))
        return now

    return select
