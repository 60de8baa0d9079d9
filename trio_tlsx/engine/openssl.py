"""The engine's contract over :class:`ssl.SSLObject`, for an :class:`ssl.SSLContext`.

Every call of OpenSSL may read from its memory BIO, and some calls lose what they read:
``SSL_shutdown`` fails if the BIO has application data, and drops the data. So the engine stores
ciphertext itself. It writes it to the BIO only while ``do_handshake`` or ``read`` runs, and takes
the unread rest out again. ``read`` decrypts every complete record, so OpenSSL itself stores at
most the start of a record.

The engine does not write the end of the transport to the BIO either. Whether OpenSSL raises for a
missing ``close_notify`` depends on an option of the context (``ssl.OP_IGNORE_UNEXPECTED_EOF``).
This engine always raises, and the driver decides what to do.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

from cryptography import x509

from ..errors import CertificateError, ConfigError
from ..handshake.wants import Question, Want
from ..messages.codec import Buffer
from ..pki.certificates import MALFORMED
from ..pki.negotiated import Negotiated
from ..pki.server_name import ServerName

__all__ = ["OpenSSLConnection"]

BATCH_BYTES = 2**18  # of application data encrypted at a time
RECEIVE_BYTES = 2**16  # of ciphertext received at a time
RECORD_BYTES = 2**14  # OpenSSL returns no more than one record at a time

_P = ParamSpec("_P")
_T = TypeVar("_T")


class OpenSSLConnection:
    """One side of a TLS connection, implemented by OpenSSL.

    Args:
        context: the options of OpenSSL. The engine does not change it.
        server_side: whether this side is the server.
        server_hostname: the name of the server: sent as SNI, and compared with its certificate.

    Raises:
        ConfigError: the context verifies the server's name, and ``server_hostname`` is missing.
        ValueError: as from :meth:`ssl.SSLContext.wrap_bio`.
    """

    error_types: tuple[type[Exception], ...] = (ssl.SSLError,)
    session = None  # the stdlib has its own, in ssl_object
    keeps_sessions = False
    record_layer = None  # the stdlib has its own
    pauses = False

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_hostname: str | bytes | None,
    ) -> None:
        if context.check_hostname and not server_side and not server_hostname:
            # ssl.SSLContext.wrap_bio would silently skip the verification.
            raise ConfigError("this context checks names: a client needs server_hostname")
        if isinstance(server_hostname, str) and not server_hostname.isascii():
            # The stdlib would encode it by IDNA 2003, with another result for some names.
            server_hostname = ServerName.parse(server_hostname).host
        self.server_side = server_side
        self.bytes_sealed: int = 0
        self._into_ssl = ssl.MemoryBIO()
        self._out_of_ssl = ssl.MemoryBIO()
        self._ssl = context.wrap_bio(
            self._into_ssl,
            self._out_of_ssl,
            server_side=server_side,
            server_hostname=server_hostname,
        )
        self._input = b""  # ciphertext that OpenSSL has not read
        self._at_eof = False
        self._output = memoryview(b"")
        self._tickets = memoryview(b"")
        self._buffer: memoryview | None = None
        self._plaintext = b""  # decrypted, not returned yet
        self._peer_closed = False
        self._failure: ssl.SSLError | None = None
        self._complete = False
        self._flushed = False  # complete, and the last handshake message was sent
        self._answer_pending = False  # read() has queued output that the peer waits for
        self._negotiated: Negotiated | None = None

    @property
    def handshake_complete(self) -> bool:
        return self._complete

    @property
    def can_write(self) -> bool:
        return self._complete

    @property
    def negotiated(self) -> Negotiated:
        if self._negotiated is None:
            self._negotiated = self._describe()
        return self._negotiated

    @property
    def ssl_object(self) -> ssl.SSLObject:
        return self._ssl

    def do_handshake(self) -> Want | Question[Any]:
        if self._failure is not None:
            raise self._failure
        if self._flushed:
            return Want.NOTHING
        if self._output:
            return Want.WRITE
        if not self._complete:
            try:
                self._with_input(self._ssl.do_handshake)
            except ssl.SSLWantReadError:
                if self._output:
                    return Want.WRITE
                if self._at_eof:
                    raise self._fail(_truncated()) from None
                return Want.READ
            except ssl.SSLError as error:
                raise self._fail(error) from None
            self._complete = True
            # After a handshake of TLS 1.3, an OpenSSL server queues session tickets. If the client
            # has closed already, or never reads, unread tickets cause a reset, and this side could
            # not see whether the client sent close_notify. So the tickets wait for other output.
            if self.server_side and self._ssl.version() == "TLSv1.3":
                self._tickets, self._output = self._output, self._tickets
            if self._output:
                return Want.WRITE
        self._flushed = True
        return Want.NOTHING

    def answer(self, answer: object) -> None:
        raise RuntimeError("OpenSSL asks no questions")

    def refuse(self, error: Exception) -> None:
        raise RuntimeError("OpenSSL asks no questions")

    def accept_early_data(self) -> None:
        """Do nothing: the stdlib's ssl has no early data."""

    def read_early_data(self, max_bytes: int | None = None) -> bytes:
        return b""

    # Ciphertext in

    def receive_data(self, data: Buffer) -> None:
        self._input += data
        self._at_eof = not data

    def receive_buffer(self) -> memoryview:
        if self._buffer is None:
            self._buffer = memoryview(bytearray(RECEIVE_BYTES))
        return self._buffer

    def bytes_received(self, count: int) -> None:
        self.receive_data(self.receive_buffer()[:count])

    def unread_ciphertext(self) -> bytes:
        rest, self._input = self._input, b""
        return rest

    # Ciphertext out

    def data_to_send(self) -> bytes:
        output, self._output = self._output, memoryview(b"")
        return output.tobytes()

    def pending_output(self) -> memoryview:
        return self._output

    def bytes_sent(self, count: int) -> None:
        self._output = self._output[count:]

    def release_buffers(self) -> None:
        self._buffer = None

    # Application data

    def read(self, max_bytes: int | None = None) -> bytes | Want:
        if not self._plaintext and not self._answer_pending:
            self._open_records()
        if self._plaintext:
            end = len(self._plaintext) if max_bytes is None else max_bytes
            data, self._plaintext = self._plaintext[:end], self._plaintext[end:]
            return data
        if self._answer_pending:
            self._answer_pending = False
            return Want.WRITE
        if self._failure is not None:
            raise self._failure
        if self._peer_closed:
            return b""
        if self._at_eof:
            self._output = memoryview(b"")
            raise self._fail(_truncated())
        return Want.READ

    def pending(self) -> int:
        return len(self._plaintext)

    def write(self, data: memoryview) -> int | Want:
        if self._failure is not None:
            raise self._failure
        if len(self._output) >= BATCH_BYTES:
            return 0
        data = data[:BATCH_BYTES]
        try:
            try:
                count = self._ssl.write(data)
            except ssl.SSLWantReadError:  # a renegotiation is under way
                count = self._with_input(self._ssl.write, data)
        except ssl.SSLWantReadError:
            if self._at_eof:
                raise self._fail(_truncated()) from None
            return Want.READ
        except ssl.SSLError as error:
            raise self._fail(error) from None
        finally:
            self._collect_output()
        self.bytes_sealed += count
        return count

    def send_session_tickets(self) -> None:
        if not self.server_side or not self._complete:
            raise RuntimeError("only a server sends session tickets, after its handshake")
        self._output = memoryview(b"".join((self._tickets, self._output)))
        self._tickets = memoryview(b"")

    def export_keying_material(
        self, label: str, length: int, context: bytes | None = None
    ) -> bytes:
        raise NotImplementedError("the stdlib's ssl cannot export keying material")

    def export_early_keying_material(self, label: str, length: int, context: bytes = b"") -> bytes:
        return self.export_keying_material(label, length, context)

    # The end

    def shutdown(self) -> None:
        # It queues close_notify, then looks for the peer's in the BIO, where nothing is. Only
        # during a handshake does it refuse altogether, and then there is no way to say it.
        with suppress(ssl.SSLError):
            self._ssl.unwrap()
        self._collect_output()

    def read_alert(self) -> bool:
        self._output = memoryview(b"")
        step = self.read(0) if self._complete else self.do_handshake()
        return step is Want.READ

    def cancel_handshake(self, reason: str = "") -> None:
        """Do nothing: OpenSSL has no way to say it."""

    def note_closed(self, error: BaseException | None = None) -> None:
        """Do nothing: an ``ssl.SSLContext`` has no ``on_event``."""

    def _with_input(self, step: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Take one step with all the input in the BIO."""
        self._into_ssl.write(self._input)
        try:
            return step(*args, **kwargs)
        finally:
            self._input = self._into_ssl.read()
            self._collect_output()

    def update_keys(self, *, request_peer: bool = False) -> None:
        raise NotImplementedError("the stdlib's ssl cannot send a KeyUpdate")

    def _open_records(self) -> None:
        if self._input and self._failure is None and not self._peer_closed:
            queued = len(self._output)
            self._plaintext = self._with_input(self._read_all)
            answered = len(self._output) > queued
            if self._failure is not None and not answered:
                self._output = memoryview(
                    b""
                )  # there is no alert after it, and no peer to read it
            # TLS 1.3 answers nothing that its peer would wait for.
            self._answer_pending = answered and self._ssl.version() != "TLSv1.3"

    def _read_all(self) -> bytes:
        chunks: list[bytes] = []
        try:
            while chunk := self._ssl.read(RECORD_BYTES):
                chunks.append(chunk)
            self._peer_closed = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._peer_closed = True
        except ssl.SSLError as error:
            self._fail(error)  # what came before it is still good
        return b"".join(chunks)

    def _collect_output(self) -> None:
        if self._out_of_ssl.pending:
            output = (self._tickets, self._output, self._out_of_ssl.read())
            self._output = memoryview(b"".join(output))
            self._tickets = memoryview(b"")

    def _fail(self, error: ssl.SSLError) -> ssl.SSLError:
        self._failure = error
        return error

    def _describe(self) -> Negotiated:
        cipher = self._ssl.cipher()
        # The stdlib gained these late, or only its private part has them.
        get_chain: Callable[[], list[bytes]] | None
        get_chain = getattr(self._ssl, "get_unverified_chain", None)  # Python 3.13
        group: Callable[[], str | None] | None = getattr(self._ssl, "group", None)  # Python 3.15
        leaf = self._ssl.getpeercert(binary_form=True)
        chain = get_chain() if get_chain is not None else [leaf] if leaf is not None else []
        try:
            certificates = tuple(map(x509.load_der_x509_certificate, chain))
        except MALFORMED as error:
            raise CertificateError(
                "the peer's certificate was good enough for OpenSSL, but cannot be parsed "
                f"here ({error}): getpeercert(binary_form=True) returns its bytes"
            ) from error
        return Negotiated(
            version=self._ssl.version() or "",
            cipher_suite=cipher[0] if cipher is not None else "",
            group=group() if group is not None else None,
            alpn_protocol=self._ssl.selected_alpn_protocol(),
            server_name=self._ssl.server_hostname,
            peer_certificates=certificates,
            signature_scheme=None,
            early_data_accepted=False,
            hello_retry_request=None,
            resumed=bool(self._ssl.session_reused),
        )


def _truncated() -> ssl.SSLEOFError:
    return ssl.SSLEOFError(
        ssl.SSL_ERROR_EOF,
        "the transport ended without close_notify: data may be missing",
    )
