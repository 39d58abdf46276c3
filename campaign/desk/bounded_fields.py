"""Bounded fields: check the length of submitted text before Flask-Security processes it.

Flask-Security's own utilities pass submitted text of any length to email_validator, Unicode normalization, and urllib.
"""

from flask import request
from flask_security import MailUtil, WebauthnUtil
from flask_security.mail_util import EmailValidateException
from flask_security.utils import get_message
from werkzeug.exceptions import BadRequest

from campaign.accounts import invitations

PASSKEY_NAME_LENGTH = 64
"""The most characters in a passkey's name; the length of the database column."""
NEXT_LENGTH = 2000
"""The most characters in the URL to open after sign-in. The desk's own URLs, even with a full filter, are shorter."""


class BoundedMailUtil(MailUtil):
    """Normalizes email addresses to the form in which accounts store them."""

    def normalize(self, email: str) -> str:
        """Return the email address in the form that accounts store.

        Raises:
            EmailValidateException: The text is not an email address.
        """
        try:
            return invitations.normal(email)
        except invitations.AccountError:
            raise EmailValidateException(get_message("INVALID_EMAIL_ADDRESS")[0]) from None

    def validate(self, email: str) -> str:
        """Return the normalized email address.

        Unlike the base class, don't ask the DNS whether its domain receives mail.
        """
        return self.normalize(email)


class BoundedWebauthnUtil(WebauthnUtil):
    """Checks the length of a passkey's name, and provides the origin that passkeys are bound to."""

    def origin(self) -> str:
        """Return the origin as browsers write it, made from SITE_URL (see `campaign/web/hosts.py`).

        Flask-Security's own method would decode an internationalized domain name.
        """
        return f"{request.scheme}://{request.host}"

    def name_svn(self, value: str) -> tuple[str | None, str | None]:
        """Return an error message or None, and the name as it will be stored."""
        if len(value) > PASSKEY_NAME_LENGTH:
            return get_message("INVALID_INPUT_LENGTH", length=PASSKEY_NAME_LENGTH)[0], None
        return super().name_svn(value)


def refuse_foreign_next() -> None:
    """Refuse a `next` URL that is not a short path on this site.

    The desk itself produces only such paths, and full URLs of its own host. Flask-Security would pass any text to
    urllib, which normalizes anything that looks like a host name.

    Raises:
        BadRequest: The URL isn't such a path.
    """
    # The signature table also has a field named `next`, which is not a URL.
    if request.blueprint != "security":
        return
    for url in (*request.args.getlist("next"), *request.form.getlist("next")):
        # After the password, Flask-Security redirects to the second factor with the page's own full URL.
        path = url.removeprefix(request.host_url.rstrip("/"))
        is_path = path.startswith("/") and not path.startswith(("//", "/\\"))
        if url and not (is_path and len(path) <= NEXT_LENGTH and path.isprintable()):
            raise BadRequest
