"""Checks for `flask mail check`: the mail server, and what other servers find about the sender's domain.

Each check yields lines for the operator, in plain words.
"""

import smtplib
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dns.exception
import dns.resolver

from campaign.mail import composing
from campaign.mail.outbox import Leased
from campaign.mail.server import Address, AwayError, Connection, RefusedError, TemporaryError
from campaign.models.message import Queue
from campaign.settings import Settings

DNS_SECONDS = 5.0
"""How long an answer of the DNS may take."""


class CheckError(Exception):
    """The site can't send mail. The message says why, and what to do."""


def check_server(settings: Settings, recipient: str | None) -> Iterator[str]:
    """Connect to the mail server, sign in, and send a test message to `recipient` if there is one.

    Raises:
        CheckError: One of these isn't possible.
    """
    address = Address.of(settings.mail_url)
    sender = composing.Sender.of(settings).address
    connection = Connection(address, sender)
    try:
        connection.open()
        user = f" as {address.user}" if address.user else ""
        yield f"Connected to {address.host}:{address.port}{user}."
        if recipient:
            message = test_message(recipient)
            connection.send(composing.compose(message, composing.TEST, settings).as_bytes(), recipient)
            yield f"Sent a test message to {recipient}. If it doesn’t arrive, look into the spam folder."
    except AwayError as error:
        raise CheckError(_explained(error, address)) from error
    except RefusedError as error:
        raise CheckError(f"the server refused the message: {error}. Check MAIL_FROM and the recipient.") from error
    except TemporaryError as error:
        raise CheckError(f"the server didn’t take the message now: {error}. Try again in a few minutes.") from error
    finally:
        connection.close()


def test_message(recipient: str) -> Leased:
    """Return a test message that isn't in the outbox."""
    now = datetime.now(UTC)
    return Leased(
        id=int(now.timestamp() * 1000),
        queue=Queue.CHECK,
        campaign_id=None,
        recipient=recipient,
        language="en",
        mailbox="",
        details={},
        created_at=now,
        tries=0,
        holder="",
        until=now + timedelta(minutes=1),
    )


def _explained(error: AwayError, address: Address) -> str:
    """Return in plain words why the server can't be used."""
    cause, where = error.__cause__, f"{address.host}:{address.port}"
    if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_AGAIN:
        return f"the address of {address.host} can’t be looked up now. Check the network."
    if isinstance(cause, socket.gaierror):
        return f"there is no host {address.host}. Check the host in MAIL_URL."
    if isinstance(cause, ConnectionRefusedError):
        return f"nothing listens at {where}. Check the host and the port in MAIL_URL."
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {where} isn’t valid for this host: {cause.verify_message}. Check the host in MAIL_URL."
        )
    if isinstance(cause, ssl.SSLError):
        return f"{where} doesn’t speak TLS. Use smtps: for port 465, and smtp: for ports 587 and 25."
    if address.port == 465 and not address.encrypted:
        return f"{where} speaks TLS from the start. Use smtps: for port 465."
    if isinstance(cause, UnicodeEncodeError):
        return "the user or the password in MAIL_URL has letters outside ASCII, which mail servers can’t read."
    if isinstance(cause, TimeoutError) or (cause and isinstance(cause.__context__, TimeoutError)):
        return f"{where} doesn’t answer. Check host and port in MAIL_URL, and whether a firewall blocks the port."
    if isinstance(cause, smtplib.SMTPAuthenticationError):
        return (
            f"the server refuses the user or the password: {error}. Write special characters as %40 for @, and so on."
        )
    if isinstance(cause, smtplib.SMTPNotSupportedError):
        return f"{where} doesn’t offer to sign in. Use port 587 or 465, or remove user and password from MAIL_URL."
    return f"{where} can’t be used: {error}."


def check_domain(settings: Settings, selector: str | None) -> Iterator[str]:
    """Look up SPF, DKIM, and DMARC of the sender's domain, as other mail servers do. Nothing here is an error."""
    domain = composing.Sender.of(settings).address.rpartition("@")[2]
    try:
        spf = [text for text in _texts(domain) if text.lower().startswith("v=spf1")]
        dmarc = _dmarc(domain)
        dkim = _texts(f"{selector}._domainkey.{domain}") if selector else []
    except dns.exception.DNSException:
        yield f"DNS didn’t respond, so SPF, DKIM, and DMARC of {domain} weren’t checked."
        return
    if len(spf) == 1:
        yield f"SPF: {spf[0]}"
    elif spf:
        yield f"SPF: {domain} has {len(spf)} records. Keep one: servers ignore all of them."
    else:
        yield f"SPF: {domain} has no record. Add one that names your mail server, as its operator describes."
    if dkim:
        yield f"DKIM: {selector}._domainkey.{domain} has a key."
    elif selector:
        yield f"DKIM: {selector}._domainkey.{domain} has no key. Add the one that your mail server signs with."
    else:
        yield "DKIM: not checked. Add --dkim-selector, or look for “dkim=pass” in the headers of a test message."
    if dmarc:
        yield f"DMARC: {dmarc}"
    else:
        yield f"DMARC: _dmarc.{domain} has no record. Begin with v=DMARC1; p=none, once SPF and DKIM work."


def _dmarc(domain: str) -> str | None:
    """Return the DMARC record of a domain, or of the next domain above that has one (RFC 7489)."""
    labels = domain.split(".")
    for start in range(max(len(labels) - 1, 1)):
        for text in _texts("_dmarc." + ".".join(labels[start:])):
            if text.lower().startswith("v=dmarc1"):
                return text
    return None


def _texts(name: str) -> list[str]:
    """Return the TXT records of a name.

    Raises:
        dns.exception.DNSException: There is no answer.
    """
    try:
        answer = dns.resolver.resolve(name, "TXT", lifetime=DNS_SECONDS)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    return [b"".join(record.strings).decode("ascii", "replace") for record in answer]
