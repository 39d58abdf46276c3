"""A signer's own page: it shows what is stored about them, and lets them correct, hide, and withdraw it.

The link to it is in each message. Without the link, the page offers to send it again, with the same answer for every
address. Opening the page changes nothing.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from flask import Response, abort, current_app, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from campaign.campaigns import stages
from campaign.campaigns.stages import Stage
from campaign.languages.speaking import gettext
from campaign.mail import outbox
from campaign.mail.composing import Sender
from campaign.models.campaign import Campaign
from campaign.models.message import Queue
from campaign.models.signature import Signature, Standing
from campaign.self_service import confirming, mailbox_records, own_signature
from campaign.self_service.tokens import Claim, Purpose
from campaign.settings import Settings
from campaign.site.blueprint import site
from campaign.site.confirming import asked_token, read_token, trouble
from campaign.site.responses import find_or_404, private
from campaign.site.sign_form import EmailForm, OwnSignatureForm
from campaign.storage.database import STORAGE_ERRORS, db
from campaign.storage.transactions import write_transaction
from campaign.web.limits.rate_limits import RateLimitError


@site.get("/campaigns/<slug>/my-signature")
@site.get("/campaigns/<slug>/<language:tag>/my-signature")
def my_signature(slug: str, tag: str | None = None) -> ResponseReturnValue:
    """Show the signature of a link, or, without one, the form that requests the link."""
    campaign, token = find_or_404(slug, tag, or_main=True), asked_token()
    if not token:
        return _request_page(campaign, EmailForm(formdata=None))
    try:
        return _show(campaign, read_token(Purpose.OWN_SIGNATURE, campaign, token), token)
    except LookupError as error:
        return trouble(campaign, error)


@site.post("/campaigns/<slug>/my-signature")
@site.post("/campaigns/<slug>/<language:tag>/my-signature")
def change_my_signature(slug: str, tag: str | None = None) -> ResponseReturnValue:
    """Run the action of the pressed button, or send the link to an email address."""
    campaign, token = find_or_404(slug, tag, to_sign=True), request.form.get("token", "")
    if not token:
        return _request_link(campaign)
    try:
        claim = read_token(Purpose.OWN_SIGNATURE, campaign, token)
    except LookupError as error:
        return trouble(campaign, error)
    return _ACTIONS.get(request.form.get("do", ""), _show)(campaign, claim, token)


def _settings() -> Settings:
    settings: Settings = current_app.config["SETTINGS"]
    return settings


def _request_page(
    campaign: Campaign,
    form: EmailForm,
    status: int = 200,
    *,
    sent: bool = False,
    not_stored: bool = False,
    wait: int = 0,
) -> Response:
    if not _settings().mail_url:
        abort(404)
    more = {"sent": sent, "not_stored": not_stored, "wait": wait}
    return private(render_template("site/request_link.html", campaign=campaign, form=form, **more), status)


def _wait() -> int:
    """Return how many seconds the client must wait, because it has sent too many forms; 0 if it hasn't."""
    try:
        current_app.extensions["sign_limit"].count(request.remote_addr)
    except RateLimitError as error:
        return error.seconds
    return 0


def _request_link(campaign: Campaign) -> Response:
    """Store a message with the link. Whether the mailbox has signed is looked up when the message is sent."""
    settings, form, now = _settings(), EmailForm(), datetime.now(UTC)
    if not settings.mail_url or not form.validate():
        return _request_page(campaign, form, 422)
    if wait := _wait():
        answer = _request_page(campaign, form, 429, wait=wait)
        answer.headers["Retry-After"] = str(wait)
        return answer
    recipient, language = form.email.data, campaign.language
    try:
        with write_transaction() as session:
            outbox.add(session, Queue.LINK, recipient, language, now, campaign_id=campaign.id)
    except STORAGE_ERRORS:
        current_app.logger.exception("a message could not be stored")
        return _request_page(campaign, form, 503, not_stored=True)
    return _request_page(campaign, form, sent=True)


def _show(
    campaign: Campaign,
    claim: Claim,
    token: str,
    form: OwnSignatureForm | None = None,
    *,
    done: str = "",
    question: str = "",
    wait: int = 0,
    status: int = 200,
) -> Response:
    """Return the page of the signature of a token.

    Args:
        campaign: The campaign.
        claim: What the token says.
        token: The token, for the page's forms.
        form: The form to show; by default, filled in with what is stored.
        done: What has just been done, in a sentence.
        question: The value of the button that the signer must press once more.
        wait: How many seconds the signer must wait, because the network has sent too many forms.
        status: The status of the response.
    """
    now = datetime.now(UTC)
    with Session(db.engine) as session:
        signature = own_signature.find(session, campaign.id, claim, _settings().secret_key)
        if signature is None or own_signature.standing_of(signature) is Standing.WITHDRAWN:
            return _withdrawn(session, campaign, claim, token, signature.signed_at if signature else None)
        standing = own_signature.standing_of(signature)
        is_correctable = standing in (Standing.PENDING, Standing.LISTED, Standing.HIDDEN)
        can_confirm = confirming.why_not(campaign, signature, now) is None
        html = render_template(
            "site/my_signature.html",
            campaign=campaign,
            form=(form or OwnSignatureForm(campaign.language, signature)) if is_correctable else None,
            signature=signature,
            standing=standing,
            token=token,
            confirm_token=_token(signature, Purpose.CONFIRM) if can_confirm else None,
            can_withdraw=own_signature.can_withdraw(signature),
            contact=_contact(),
            done=done,
            question=question,
            wait=wait,
        )
        return private(html, status)


def _token(signature: Signature, purpose: Purpose) -> str:
    return own_signature.token(signature, purpose, _settings().secret_key)


def _contact() -> str:
    """Return the address at which signers reach the organization; empty on a site without mail."""
    settings = _settings()
    if not settings.mail_url:
        return ""
    sender = Sender.of(settings)
    return sender.reply_to or sender.address


def _withdrawn(
    session: Session,
    campaign: Campaign,
    claim: Claim,
    token: str,
    at: datetime | None,
    *,
    just_now: bool = False,
) -> Response:
    """Return the page of a withdrawn or deleted signature."""
    stopped = mailbox_records.wants_no_mail(session, campaign.id, claim.mailbox)
    is_open = stages.stage(campaign, datetime.now(UTC)) is Stage.OPEN
    html = render_template(
        "site/withdrawn.html",
        campaign=campaign,
        at=at,
        just_now=just_now,
        mail_is_stopped=stopped,
        is_open=is_open,
        token=token,
    )
    return private(html, 200 if at else 410)


def _save(campaign: Campaign, claim: Claim, token: str) -> Response:
    form, now = OwnSignatureForm(campaign.language), datetime.now(UTC)
    try:
        if not form.validate():
            return _show(campaign, claim, token, form, status=422)
        if wait := _wait():
            return _show(campaign, claim, token, form, wait=wait, status=429)
        with write_transaction() as session:
            signature = own_signature.find(session, campaign.id, claim, _settings().secret_key)
            changed = signature is not None and own_signature.correct(session, signature.id, form.values(), now)
        words = gettext("Saved. This site shows the change within seconds.")
        return _show(campaign, claim, token, done=words if changed else gettext("Nothing has changed."))
    except STORAGE_ERRORS:
        current_app.logger.exception("a correction could not be stored")
        db.session.rollback()
        html = render_template("site/my_signature.html", campaign=campaign, form=form, token=token, not_stored=True)
        return private(html, 503)


def _withdraw(campaign: Campaign, claim: Claim, token: str, *, stop_mail: bool = False) -> Response:
    if request.form.get("sure") != "y":
        return _show(campaign, claim, token, question="not-me" if stop_mail else "withdraw")
    secret, now = _settings().secret_key, datetime.now(UTC)
    with write_transaction() as session:
        signature = own_signature.find(session, campaign.id, claim, secret)
        is_done = signature and own_signature.withdraw(session, signature.id, now, secret, stop_mail=stop_mail)
    if not is_done:
        return _show(campaign, claim, token)
    with Session(db.engine) as session:
        return _withdrawn(session, campaign, claim, token, now, just_now=True)


def _send_mail_again(campaign: Campaign, claim: Claim, token: str) -> Response:
    with write_transaction() as session:
        mailbox_records.allow_mail(session, campaign.id, claim.mailbox, datetime.now(UTC))
    return _show(campaign, claim, token)


_ACTIONS: dict[str, Callable[[Campaign, Claim, str], Response]] = {
    "save": _save,
    "withdraw": _withdraw,
    "not-me": lambda campaign, claim, token: _withdraw(campaign, claim, token, stop_mail=True),
    "mail-again": _send_mail_again,
}
"""What each button of the page does, by its value."""
