"""The operator's mail server: one SMTP connection that stays open, and what its answers mean.

MAIL_URL says where it is (`Address`). A user's password is sent only over an encrypted connection.
"""

import smtplib
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote, urlsplit

TIMEOUT = 30
"""Seconds to wait for an answer to a command. RFC 5321 suggests minutes, but then all other mail waits."""
ACCEPTING = 600
"""Seconds to wait until the server has accepted a message (RFC 5321, section 4.5.3.2.6). Otherwise, a server that
examines messages for a while would get the same one again and again."""
LONGEST = 10 * TIMEOUT + ACCEPTING
"""The most seconds that sending one message takes, with connecting and signing in."""
IDLE = 20
"""Seconds after which the connection is tried before it is used: servers close connections that are idle."""


class TemporaryError(Exception):
    """The mail server can't take the message now: it is away, or says to try again later (4xx)."""


class AwayError(TemporaryError):
    """The mail server can't be reached, or refuses this site or its sender. Other messages would fail, too."""


class BrokenError(TemporaryError):
    """The connection ended while a message was sent. Whether the server has the message is unknown."""


class RefusedError(Exception):
    """The mail server refuses the message for good (5xx)."""


@dataclass(frozen=True)
class Address:
    """Where the mail server is, and how to sign in there."""

    host: str
    port: int
    user: str
    password: str
    encrypted: bool
    """Whether the connection is encrypted from the start (smtps:), rather than by STARTTLS."""

    @classmethod
    def of(cls, url: str) -> "Address":
        """Return the parts of a valid MAIL_URL, such as smtp://user:password@mail.example.org:587."""
        parts = urlsplit(url)
        encrypted = parts.scheme == "smtps"
        port = parts.port or (465 if encrypted else 587 if parts.username else 25)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return cls(parts.hostname or "", port, user, password, encrypted)

    @property
    def is_local(self) -> bool:
        """Whether the mail server runs on this machine, so that nobody can eavesdrop."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


class _Session:
    """What our SMTP sessions add to smtplib: a longer wait after a message, and whether it was sent as a whole."""

    has_message = False
    """Whether the last thing sent is a message, so that the server may have accepted it."""

    def send(self, s: Any) -> None:
        """Send a command, or a message, which smtplib passes as bytes."""
        self.has_message = isinstance(s, bytes)
        sock = getattr(self, "sock", None)
        if sock:
            sock.settimeout(ACCEPTING if self.has_message else TIMEOUT)
        super().send(s)  # type: ignore[misc]  # smtplib's method.


class _Plain(_Session, smtplib.SMTP):
    pass


class _Encrypted(_Session, smtplib.SMTP_SSL):
    pass


class Connection:
    """A connection to the mail server. It opens with the first message, and again after an error."""

    def __init__(self, address: Address, sender: str, most: int = 0) -> None:
        """Send messages of a sender, and at most `most` of them through one connection; 0 for any number."""
        self._address = address
        self._sender = sender
        self._most = most
        self._sent = 0
        self._used = 0.0
        self._smtp: _Plain | _Encrypted | None = None

    def open(self) -> None:
        """Connect, encrypt, and sign in, unless the connection is open.

        Raises:
            AwayError: The server can't be reached, has no valid certificate, or refuses to let the site sign in.
        """
        if self._smtp and time.monotonic() - self._used > IDLE and not self._is_alive():
            self.close()
        if self._smtp:
            return
        try:
            self._smtp = self._opened()
        except smtplib.SMTPResponseException as error:
            raise AwayError(_said(error.smtp_code, error.smtp_error)) from error
        except (OSError, smtplib.SMTPException, ValueError) as error:
            # A ValueError: the user or the password has letters that SMTP can't send.
            raise AwayError(str(error) or type(error).__name__) from error
        self._sent, self._used = 0, time.monotonic()

    def _is_alive(self) -> bool:
        assert self._smtp  # noqa: S101 (`open` has checked it)
        try:
            return self._smtp.noop()[0] == 250
        except (OSError, smtplib.SMTPException):
            return False

    def _opened(self) -> _Plain | _Encrypted:
        address = self._address
        # Servers greet the domain of the sender. Python would look up the name of this machine, which takes a while.
        name = self._sender.rpartition("@")[2]
        smtp: _Plain | _Encrypted
        if address.encrypted:
            context = _unverified() if address.is_local else ssl.create_default_context()
            smtp = _Encrypted(address.host, address.port, name, timeout=TIMEOUT, context=context)
        else:
            smtp = _Plain(address.host, address.port, name, timeout=TIMEOUT)
        try:
            _greet(smtp)
            if not address.encrypted and smtp.has_extn("starttls"):
                smtp.starttls(context=_unverified() if address.is_local else ssl.create_default_context())
                _greet(smtp)
            elif not address.encrypted and not address.is_local:
                raise AwayError("the server offers no encryption (STARTTLS)")
            if address.user:
                smtp.login(address.user, address.password)
        except BaseException:
            smtp.close()
            raise
        return smtp

    def send(self, message: bytes, recipient: str) -> None:
        """Send a message as `EmailMessage.as_bytes` returns it. On return, the server has accepted it.

        Raises:
            AwayError: The connection could not be opened, or the server refuses the sender.
            BrokenError: The connection ended.
            TemporaryError: The server asks to try again later.
            RefusedError: The server refuses the message or its recipient.
        """
        self.open()
        try:
            self._transfer(message, recipient)
        except BrokenError:
            # If the connection ended before the message was sent, the server can't have it.
            if self._smtp and self._smtp.has_message:
                raise
            self.close()
            self.open()
            self._transfer(message, recipient)
        finally:
            self._used = time.monotonic()
            if self._smtp and not self._smtp.sock:
                self.close()
        self._sent += 1
        if self._sent == self._most:
            self.close()

    def _transfer(self, message: bytes, recipient: str) -> None:
        smtp = self._smtp
        assert smtp  # noqa: S101 (`open` has raised an error otherwise)
        options = []
        if not (self._sender.isascii() and recipient.isascii()):
            if not smtp.has_extn("smtputf8"):
                raise RefusedError("the server knows no addresses with letters outside ASCII (SMTPUTF8)")
            options = ["SMTPUTF8", "BODY=8BITMIME"]
        try:
            smtp.sendmail(self._sender, [recipient], message, options)
        except smtplib.SMTPRecipientsRefused as error:
            [(code, said)] = error.recipients.values()
            raise _meaning(code)(_said(code, said)) from error
        except smtplib.SMTPSenderRefused as error:
            # 552: the message is too large. Any other reason is about all messages of this site.
            kind = RefusedError if error.smtp_code == 552 else AwayError
            raise kind(_said(error.smtp_code, error.smtp_error)) from error
        except smtplib.SMTPResponseException as error:
            raise _meaning(error.smtp_code)(_said(error.smtp_code, error.smtp_error)) from error
        except (OSError, smtplib.SMTPException) as error:
            raise BrokenError(str(error) or type(error).__name__) from error

    def close(self) -> None:
        """Close the connection, if it is open."""
        smtp, self._smtp = self._smtp, None
        if smtp:
            with suppress(OSError, smtplib.SMTPException):
                # A server that no longer answers must not delay this.
                if isinstance(smtp.sock, socket.socket):
                    smtp.send("QUIT\r\n")
            smtp.close()


def _greet(smtp: smtplib.SMTP) -> None:
    """Say EHLO, or HELO to a server that knows only this.

    Raises:
        smtplib.SMTPHeloError: The server refuses this site.
    """
    smtp.ehlo_or_helo_if_needed()


def _unverified() -> ssl.SSLContext:
    """Return a context for a server on this machine, whose certificate is in no public list."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _meaning(code: int) -> type[TemporaryError] | type[RefusedError]:
    # 421 announces that the server closes the connection (RFC 5321).
    return BrokenError if code == 421 else RefusedError if 500 <= code < 600 else TemporaryError


def _said(code: int, words: bytes | str) -> str:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return f"{code} {' '.join(text.split())}"[:500]
