"""The operator's mail server: one SMTP connection that stays open, and what its answers mean.

MAIL_URL says where it is (`Address`). A user's password is sent only over an encrypted connection.
"""

import smtplib
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

TIMEOUT = 30
"""Seconds to wait for an answer of the mail server. RFC 5321 suggests minutes, but then all other mail waits."""


class TemporaryError(Exception):
    """The mail server can't take the message now: it is away, or says to try again later (4xx)."""


class AwayError(TemporaryError):
    """The mail server can't be reached, or refuses this site. Other messages would fail, too."""


class BrokenError(TemporaryError):
    """The connection broke while a message was sent. Whether the server has the message is unknown."""


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
        """Whether the mail server runs on this machine, so that nobody can listen."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


class Connection:
    """A connection to the mail server. It opens with the first message, and again after an error."""

    def __init__(self, address: Address, most: int = 0) -> None:
        """Send at most `most` messages through one connection; 0 for any number."""
        self._address = address
        self._most = most
        self._sent = 0
        self._smtp: smtplib.SMTP | None = None

    def open(self) -> None:
        """Connect, encrypt, and sign in, unless the connection is open.

        Raises:
            AwayError: The server can't be reached, has no valid certificate, or refuses to let the site sign in.
        """
        if self._smtp:
            return
        address = self._address
        try:
            smtp = self._connected()
            try:
                smtp.ehlo()
                if not address.encrypted and smtp.has_extn("starttls"):
                    smtp.starttls(context=ssl.create_default_context() if not address.is_local else _unverified())
                    smtp.ehlo()
                elif not address.encrypted and not address.is_local:
                    raise AwayError("the server offers no encryption (STARTTLS)")
                if address.user:
                    smtp.login(address.user, address.password)
            except BaseException:
                smtp.close()
                raise
        except smtplib.SMTPResponseException as error:
            raise AwayError(_said(error.smtp_code, error.smtp_error)) from error
        except (OSError, smtplib.SMTPException) as error:
            raise AwayError(str(error) or type(error).__name__) from error
        self._smtp, self._sent = smtp, 0

    def _connected(self) -> smtplib.SMTP:
        address = self._address
        if address.encrypted:
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(address.host, address.port, timeout=TIMEOUT, context=context)
        return smtplib.SMTP(address.host, address.port, timeout=TIMEOUT)

    def send(self, message: EmailMessage, sender: str, recipient: str) -> None:
        """Send a message. On return, the server has accepted it.

        Raises:
            AwayError: The connection could not be opened, or the server closes it.
            BrokenError: The connection broke.
            TemporaryError: The server asks to try again later.
            RefusedError: The server refuses the message or its recipient.
        """
        self.open()
        assert self._smtp  # noqa: S101 (`open` has raised an error otherwise)
        try:
            self._smtp.send_message(message, sender, [recipient])
        except smtplib.SMTPRecipientsRefused as error:
            self._reset()
            [(code, said)] = error.recipients.values()
            raise _meaning(code)(_said(code, said)) from error
        except smtplib.SMTPServerDisconnected as error:
            self.close()
            raise BrokenError(str(error)) from error
        except smtplib.SMTPResponseException as error:
            self._reset()
            raise _meaning(error.smtp_code)(_said(error.smtp_code, error.smtp_error)) from error
        except smtplib.SMTPNotSupportedError as error:
            # The address has letters that the server can't handle (SMTPUTF8, RFC 6531).
            self._reset()
            raise RefusedError(str(error)) from error
        except (OSError, smtplib.SMTPException) as error:
            self.close()
            raise BrokenError(str(error) or type(error).__name__) from error
        self._sent += 1
        if self._sent == self._most:
            self.close()

    def _reset(self) -> None:
        """Make the connection ready for another message."""
        if self._smtp:
            with suppress(OSError, smtplib.SMTPException):
                self._smtp.rset()
                return
        self.close()

    def close(self) -> None:
        """Close the connection, if it is open."""
        smtp, self._smtp = self._smtp, None
        if smtp:
            with suppress(OSError, smtplib.SMTPException):
                # A server that no longer answers must not delay this.
                if isinstance(smtp.sock, socket.socket):
                    smtp.sock.settimeout(1)
                smtp.quit()
            smtp.close()


def _unverified() -> ssl.SSLContext:
    """Return a context for a server on this machine, whose certificate is in no public list."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _meaning(code: int) -> type[TemporaryError] | type[RefusedError]:
    # 421 announces that the server closes the connection (RFC 5321).
    return AwayError if code == 421 else RefusedError if 500 <= code < 600 else TemporaryError


def _said(code: int, words: bytes | str) -> str:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return f"{code} {' '.join(text.split())}"[:500]
