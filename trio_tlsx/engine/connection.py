"""A TLS connection without a transport.

A :class:`Connection` runs the generator of the handshake, and then encrypts and decrypts
application data. It gives two guarantees. After the connection has failed, each call raises the
same error. Before it raises an error, it queues the alert of that error.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from traceback import clear_frames
from typing import Any, cast

from ..config.client import ClientConfig
from ..config.server import ServerConfig
from ..errors import (
    AlertDescription,
    AlertReceived,
    ConfigError,
    InternalError,
    TLSError,
    Truncated,
)
from ..handshake.established import Completed, Established
from ..handshake.questions import SessionReceived
from ..handshake.steps import EarlyData, Handshake, Observer, Steps
from ..handshake.wants import Question, Want
from ..messages.alerts import FATAL, WARNING
from ..messages.codec import Buffer
from ..messages.versions import TLS12
from ..pki.negotiated import Negotiated
from ..pki.server_name import ServerName
from ..record.alerts import CloseNotifyReceived
from ..record.buffers import BUFFER_LENGTH
from ..record.message_reader import MessageReader
from ..record.receive import EMPTY, Incoming
from ..record.send import Outgoing
from ..sessions.client import Session
from .exports import Exports
from .post_handshake import PostHandshake, PostHandshakeMessages, handshake_shutdown
from .record_layer import RecordLayer
from .reporter import reporter_for
from .ssl_object import ConnectionNames

__all__ = ["Connection"]

NO_EARLY_DATA = EarlyData()  # of all connections that have none, after the handshake

logger: logging.Logger = logging.getLogger("trio_tlsx")


class Connection(RecordLayer, Exports):
    """One side of a TLS connection; implements :class:`~trio_tlsx.engine.interface.Engine`.

    Create it with :meth:`client` or :meth:`server`.
    """

    __slots__ = (
        "_answer",
        "_close_notify_received",
        "_close_notify_sent",
        "_config",
        "_early_data",
        "_established",
        "_failure",
        "_may_ask",
        "_post_handshake",
        "_question",
        "_reader",
        "_reporter",
        "_server_hostname",
        "_steps",
        "_surplus",
        "pauses",
        "server_side",
        "session",
    )

    error_types: tuple[type[Exception], ...] = (TLSError,)

    def __init__(
        self,
        server_side: bool,
        config: ClientConfig | ServerConfig,
        server_hostname: str | None,
        start: Callable[[Handshake], Steps[Completed]],
        observer: Observer | None,
    ) -> None:
        self.server_side: bool = server_side
        self._incoming = Incoming()
        self._outgoing = Outgoing()
        self.pauses: bool = False
        self._config = config
        self._server_hostname = server_hostname
        self.session: Session | None = None
        self._reader = MessageReader(self._incoming)
        handshake = Handshake(self._incoming, self._outgoing, self._reader, observer)
        self._early_data = handshake.early_data
        self._reporter = reporter_for(config.on_event, server_side, server_hostname)
        self._post_handshake: PostHandshakeMessages = PostHandshake(
            self._incoming, self._outgoing, self._reader, self._reporter
        )
        self._steps: Steps[Completed] | None = start(handshake)
        self._question: Question[Any] | None = None  # not answered yet
        self._may_ask = True
        self._answer: object = None  # to the previous question
        self._established: Established | None = None
        self._failure: TLSError | None = None
        self._surplus = EMPTY  # decrypted data beyond the caller's max_bytes
        self._close_notify_sent = False
        self._close_notify_received = False

    @classmethod
    def client(
        cls,
        config: ClientConfig,
        server_hostname: str,
        *,
        server_port: int | None = None,
        early_data: Buffer = b"",
        resend_early_data: bool = False,
        observer: Observer | None = None,
    ) -> Connection:
        """Return the client's side of a connection.

        Args:
            server_hostname: the DNS name or the IP address of the server. Its certificate must
                contain this name.
            server_port: the port of the server. Sessions are stored by name and port.
            early_data: data to send with the ClientHello, if there is a session that allows early
                data. An attacker who records it can replay it.
            resend_early_data: send early data that the server rejected again, after the handshake.
            observer: called with each handshake message's direction, name and length.

        Raises:
            ConfigError: ``server_hostname`` or ``server_port`` is invalid, or ``early_data`` has a
                wrong type or length.
        """
        # Only a client needs them. In a function an absolute import is twice as fast.
        from trio_tlsx.handshake.client import client_handshake
        from trio_tlsx.handshake.early_data import checked as checked_early_data

        server_name = ServerName.parse(server_hostname)
        if server_port is not None and not 0 < server_port < 2**16:
            raise ConfigError(f"server_port is {server_port}, which is no port of TCP")
        data = checked_early_data(early_data)
        return cls(
            False,
            config,
            server_name.host,
            lambda hs: client_handshake(
                hs, config.parameters, server_name, server_port, data, resend=resend_early_data
            ),
            observer,
        )

    @classmethod
    def server(cls, config: ServerConfig, *, observer: Observer | None = None) -> Connection:
        """Return the server's side of a connection."""
        from trio_tlsx.handshake.server import server_handshake  # only a server needs it

        return cls(
            True, config, None, lambda hs: server_handshake(hs, config.parameters), observer
        )

    # The handshake

    @property
    def handshake_complete(self) -> bool:
        return self._established is not None

    @property
    def can_write(self) -> bool:
        return self._established is not None or self._early_data.may_be_answered

    @property
    def record_layer(self) -> tuple[Incoming, Outgoing] | None:
        return None if self._established is None else (self._incoming, self._outgoing)

    @property
    def negotiated(self) -> Negotiated:
        return self._complete().negotiated

    @property
    def keeps_sessions(self) -> bool:
        config = self._config
        return isinstance(config, ClientConfig) and config.parameters.session_store is not None

    @property
    def ssl_object(self) -> ConnectionNames:
        return ConnectionNames(
            self._config, self._server_hostname, self._complete, self.channel_binding, self.session
        )

    def do_handshake(self) -> Want | Question[Any]:
        """Continue the handshake; see :meth:`Engine.do_handshake`."""
        want = self._go_on()
        # The caller of `write` sends an answer to early data; the handshake continues to read.
        has_output = self._outgoing.queued or self._outgoing.flight
        return Want.WRITE if has_output and not self._early_data.may_be_answered else want

    def _go_on(self) -> Want | Question[Any]:
        if self._failure is not None:
            self._raise_failure()
        try:
            if self._reporter is not None:
                self._reporter.handshake_started()
            return self._advance()
        except CloseNotifyReceived:
            self.shutdown()
            raise self._fail(handshake_shutdown()) from None
        except Truncated as error:
            error.args = ("the connection ended in the middle of the handshake",)
            raise self._fail(error) from None
        except TLSError as error:
            self._fail(error)
            clear_frames(error.__traceback__)  # local variables hold secrets
            raise
        except Exception as error:
            # A hook or this library failed. The peer receives an alert, and the connection ends.
            failure = InternalError(f"the handshake failed on our side: {type(error).__name__}")
            clear_frames(error.__traceback__)
            raise self._fail(failure) from error
        except BaseException:
            # For example Ctrl-C. The exception ended the generator, so it cannot continue.
            self._fail(InternalError("the handshake was interrupted on our side"))
            raise

    def _advance(self) -> Want | Question[Any]:
        if self._question is not None and self._question.awaitable is None:
            self._pose(self._question)  # again: the task that awaited the answer was cancelled
        while self._steps is not None and self._question is None:
            answer, self._answer = self._answer, None
            try:
                want = self._steps.send(answer)
            except StopIteration as finished:
                completed: Completed = finished.value
                self._established = completed.established
                if self._reporter is not None:
                    self._reporter.handshake_completed(self._established.negotiated)
                    if completed.tickets_sent:
                        self._reporter.tickets_sent(completed.tickets_sent)
                if completed.established.suite.version == TLS12:
                    from .post_handshake12 import PostHandshake12

                    self._post_handshake = PostHandshake12(self._outgoing, self.server_side)
                self._post_handshake.start(completed)
                self._steps = None
                if self._early_data.exporter is None:
                    self._early_data = NO_EARLY_DATA
                break
            if not isinstance(want, Want):
                self._pose(want)
            elif want is not Want.PAUSE or self.pauses:
                return want
        return self._question or Want.NOTHING

    def _pose(self, question: Question[Any]) -> None:
        """Call the hook. Its result is the answer, unless it is an awaitable."""
        self._question = question
        if not self._may_ask:
            return
        try:
            answer = question.ask()
        except Exception as error:  # noqa: BLE001 - any exception of a hook rejects
            self.refuse(error)
            self._raise_failure()
        else:
            if hasattr(type(answer), "__await__"):
                question.awaitable = cast("Awaitable[object]", answer)
            else:
                self.answer(answer)

    def answer(self, answer: object) -> None:
        """Answer the question that was returned last."""
        if self._question is None:
            raise RuntimeError("there is no open question")
        if isinstance(self._question, SessionReceived):
            self.session = self._question.session
            if self._reporter is not None:
                self._reporter.ticket_received()
        self._question = None
        self._answer = answer

    def refuse(self, error: Exception) -> None:
        """Report that the question has no answer; the next call raises if it needs one.

        Args:
            error: a TLSError ends the connection with its alert; any other exception ends it with
                ``internal_error``.
        """
        if self._question is None:
            raise RuntimeError("there is no open question")
        question, self._question = self._question, None
        question.drop()
        if question.timeout is not None:
            logger.warning("going on without an answer to %r", question, exc_info=error)
            return
        if not isinstance(error, TLSError) or error.refused_by != "us":
            # A TLSError of another connection that the hook uses does not reject this peer.
            what = "handshake" if self._established is None else "connection"
            failure = InternalError(f"the {what} failed on our side: {type(error).__name__}")
            failure.__cause__ = error
            error = failure
        self._fail(error)

    def accept_early_data(self) -> None:
        """Accept early data; see :meth:`Engine.accept_early_data`."""
        if self._established is None:
            self._early_data.wanted = True

    def read_early_data(self, max_bytes: int | None = None) -> bytes:
        """Return received early data; see :meth:`Engine.read_early_data`."""
        return self._early_data.take(max_bytes)

    def read_alert(self) -> bool:
        """Read the alert of a peer that broke the connection; see :meth:`Engine.read_alert`."""
        self._raise_failure()
        if self._question is not None:
            self._question.drop()
            self._question.awaitable = None
            return False
        self._outgoing.drop()
        self._may_ask = False
        try:
            step: object = Want.NOTHING
            while step in (Want.EARLY_DATA, Want.NOTHING, Want.PAUSE):
                step = self._go_on() if self._established is None else self.read(0)
        finally:
            self._may_ask = True
        return step is Want.READ

    def cancel_handshake(self, reason: str = "the handshake was cancelled on our side") -> None:
        """Cancel an unfinished handshake; see :meth:`Engine.cancel_handshake`."""
        if self._failure is None and self._established is None:
            if self._outgoing.finished:
                self._fail(InternalError(reason))
                return
            self._outgoing.alert(WARNING, AlertDescription.user_canceled)
            self._outgoing.alert(WARNING, AlertDescription.close_notify)
            self._close_notify_sent = True
            failure = TLSError(reason)
            failure.alert, failure.refused_by = AlertDescription.user_canceled, "us"
            self._fail(failure)

    def _fail(self, failure: TLSError) -> TLSError:
        """Store ``failure`` as the final error, and queue its alert."""
        if self._failure is failure:
            return failure
        self._failure = failure
        if self._reporter is not None:
            self._reporter.failed(failure)
        self._steps = None
        if self._question is not None:
            self._question.drop()
        self._question = None
        ours = failure.refused_by == "us" and not self._close_notify_sent
        if ours and failure.alert is not None:
            self._outgoing.alert(FATAL, failure.alert)
        elif isinstance(failure, AlertReceived | Truncated):
            self._outgoing.drop()
        return failure

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure.with_traceback(None)

    def _complete(self) -> Established:
        if self._established is None:
            raise RuntimeError("the handshake is not complete")
        return self._established

    # Application data

    def write(self, data: memoryview) -> int:
        """Encrypt the start of ``data`` into the output; see :meth:`Engine.write`.

        Raises:
            RuntimeError: nothing can be written yet, or ``close_notify`` was sent.
            TLSError: the connection failed before.
        """
        self._check_writable()
        if (error := self._post_handshake.send_before_data()) is not None:
            self.shutdown()
            raise self._fail(error)
        count = self._outgoing.application_data(data) if data else 0
        self._outgoing.bytes_sealed += count
        return count

    def _check_writable(self) -> None:
        if self._established is None or self._failure is not None:
            self._raise_failure()
            if not self.can_write:
                self._complete()
        if self._close_notify_sent:
            raise RuntimeError("close_notify was sent: nothing may follow it")

    def read(self, max_bytes: int | None = None) -> bytes | Want | Question[Any]:
        """Return received application data; see :meth:`Engine.read`."""
        self._complete()
        limit = BUFFER_LENGTH if max_bytes is None else max_bytes
        if limit < 0:
            raise ValueError("max_bytes cannot be negative")
        if self._surplus:
            data = bytes(self._surplus[:limit])
            self._surplus = self._surplus[limit:] or EMPTY
            return data
        self._raise_failure()
        if self._close_notify_received:
            return b""
        try:
            return self._read(limit)
        except CloseNotifyReceived:
            self._close_notify_received = True
            return b""
        except TLSError as error:
            self._fail(error)
            raise
        except Exception as error:
            failure = InternalError(f"the connection failed on our side: {type(error).__name__}")
            raise self._fail(failure) from error

    def pending(self) -> int:
        """Return how many bytes of decrypted application data wait for ``read``."""
        return len(self._surplus)

    def _read(self, limit: int) -> bytes | Want | Question[Any]:
        if self._question is not None:
            self._pose(self._question)  # again: the task that awaited the answer was cancelled
        while True:
            if self._question is not None:
                return self._question
            if self.pauses and self._reader.is_pause_due():
                return Want.PAUSE
            if not self._reader.is_within_message:
                data = self._incoming.take_application_data(limit)
                if data:
                    if len(data) > limit:
                        self._surplus = memoryview(data)[limit:]
                        return data[:limit]
                    self._incoming.note_drained()
                    return data
            if (message := self._reader.take_message()) is not None:
                question = self._post_handshake.receive(
                    message, may_answer=not self._close_notify_sent
                )
                if question is not None:
                    self._pose(question)
            elif not self._reader.read_record():
                if not self._reader.is_within_message:
                    self._incoming.note_drained()
                return Want.READ

    def update_keys(self, *, request_peer: bool = False) -> None:
        """Update this side's sending keys; see :meth:`Engine.update_keys`."""
        self._check_writable()
        self._post_handshake.update_keys(request_peer=request_peer)

    def send_session_tickets(self) -> None:
        """Queue this server's session tickets; see :meth:`Engine.send_session_tickets`."""
        self._complete()
        self._check_writable()
        if not self.server_side:
            raise RuntimeError("only a server sends session tickets")
        self._post_handshake.send_tickets()

    # The end

    def shutdown(self) -> None:
        """Queue ``close_notify``; then nothing can be written. A second call does nothing."""
        if not self._close_notify_sent and self._failure is None:
            if not self._close_notify_received:
                self._post_handshake.send_tickets()
            self._outgoing.alert(WARNING, AlertDescription.close_notify)
            self._close_notify_sent = True
            if self._established is None:
                failure = TLSError("this side ended the connection in the middle of its handshake")
                failure.alert, failure.refused_by = AlertDescription.close_notify, "us"
                self._fail(failure)

    def note_closed(self, error: BaseException | None = None) -> None:
        """Report the end of the connection; see :meth:`Engine.note_closed`."""
        if self._reporter is not None:
            if self._close_notify_received:
                error = None  # the peer need not take our close_notify any more
            self._reporter.closed(
                self._failure or error,
                self._incoming,
                self._outgoing,
                with_close_notify=self._close_notify_sent or self._close_notify_received,
            )
