"""A signer's own page: it shows what is stored about them, and lets them correct, hide, and withdraw it.

The link to it is in each message. Without the link, the page offers to send it again, with the same answer for every
address. Opening the page changes nothing.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from flask import Response, abort, current_app, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from campaign.languages.speaking import gettext
from campaign.mail import outbox
from campaign.models.campaign import Campaign
from campaign.models.message import Queue
from campaign.models.signature import Signature, Standing
from campaign.self_service import confirming, own_signature, tokens
from campaign.self_service.tokens import Purpose
from campaign.signatures import pseudonyms
from campaign.signatures.signing import email_key
from campaign.site.blueprint import site
from campaign.site.confirming import asked_token, read_token, trouble
from campaign.site.responses import find_or_404, private
from campaign.site.sign_form import EmailForm, OwnSignatureForm
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from campaign.web.limits.rate_limits import RateLimitError


@site.get("/campaigns/<slug>/my-signature")
@site.get("/campaigns/<slug>/<language:tag>/my-signature")
def my_signature(slug: str, tag: str | None = None) -> ResponseReturnValue:
    """Show the signature of a link, or, without one, the form that requests the link."""
    campaign, token = find_or_404(slug, tag, or_main=True), asked_token()
    return _show(campaign, token) if token else _request_page(campaign, EmailForm(formdata=None))


@site.post("/campaigns/<slug>/my-signature")
@site.post("/campaigns/<slug>/<language:tag>/my-signature")
def change_my_signature(slug: str, tag: str | None = None) -> ResponseReturnValue:
    """Do what the button says that the signer has pressed, or send the link to an address."""
    campaign, token = find_or_404(slug, tag, to_sign=True), request.form.get("token", "")
    if not token:
        return _request_link(campaign)
    act = _ACTIONS.get(request.form.get("do", ""))
    return act(campaign, token) if act else _show(campaign, token)


def _request_page(
    campaign: Campaign, form: EmailForm, status: int = 200, *, sent: bool = False, wait: int = 0
) -> Response:
    if not current_app.config["SETTINGS"].mail_url:
        abort(404)
    html = render_template("site/request_link.html", campaign=campaign, form=form, sent=sent, wait=wait)
    return private(html, status)


def _request_link(campaign: Campaign) -> Response:
    """Store a message with the link. Whether the mailbox has signed is looked up when the message is sent."""
    settings, form, now = current_app.config["SETTINGS"], EmailForm(), datetime.now(UTC)
    try:
        current_app.extensions["sign_limit"].count(request.remote_addr)
    except RateLimitError as error:
        answer = _request_page(campaign, form, 429, wait=error.seconds)
        answer.headers["Retry-After"] = str(error.seconds)
        return answer
    if not settings.mail_url or not form.validate():
        return _request_page(campaign, form, 422)
    mailbox = pseudonyms.of(settings.secret_key, campaign.id, email_key(form.email.data))
    with write_transaction() as session:
        outbox.add(
            session,
            Queue.LINK,
            form.email.data,
            campaign.language,
            now,
            campaign_id=campaign.id,
            mailbox=mailbox,
        )
    return _request_page(campaign, form, sent=True)


def _show(
    campaign: Campaign,
    token: str,
    form: OwnSignatureForm | None = None,
    *,
    done: str = "",
    question: str = "",
    status: int = 200,
) -> Response:
    """Return the page of the signature of a token.

    Args:
        campaign: The campaign.
        token: The token.
        form: The form to show; by default, filled in with what is stored.
        done: What has just been done, in a sentence.
        question: What the signer must confirm first: the value of the button.
        status: The status of the response.
    """
    try:
        claim = read_token(Purpose.OWN_SIGNATURE, campaign, token)
    except LookupError as error:
        return trouble(campaign, error)
    settings, now = current_app.config["SETTINGS"], datetime.now(UTC)
    with Session(db.engine) as session:
        signature = own_signature.find(session, campaign.id, claim, settings.secret_key)
        if signature is None:
            return private(render_template("site/withdrawn.html", campaign=campaign, at=None), 410)
        standing = own_signature.standing_of(signature)
        if standing is Standing.WITHDRAWN:
            return private(render_template("site/withdrawn.html", campaign=campaign, at=signature.signed_at))
        can_confirm = confirming.standing(campaign, signature, now) is None
        html = render_template(
            "site/my_signature.html",
            campaign=campaign,
            form=form or OwnSignatureForm(campaign.language, signature),
            signature=signature,
            standing=standing,
            token=token,
            confirm_token=_confirm_token(signature, settings.secret_key) if can_confirm else None,
            can_withdraw=own_signature.can_withdraw(signature),
            done=done,
            question=question,
        )
        return private(html, status)


def _confirm_token(signature: Signature, secret: str) -> str:
    mailbox = own_signature.pseudonym(signature, secret)
    return tokens.make(secret, Purpose.CONFIRM, signature.campaign_id, signature.id, mailbox)


def _save(campaign: Campaign, token: str) -> Response:
    form, now = OwnSignatureForm(campaign.language), datetime.now(UTC)
    if not form.validate():
        return _show(campaign, token, form, status=422)
    try:
        claim = read_token(Purpose.OWN_SIGNATURE, campaign, token)
    except LookupError as error:
        return trouble(campaign, error)
    with write_transaction() as session:
        signature = own_signature.find(session, campaign.id, claim, current_app.config["SETTINGS"].secret_key)
        changed = signature is not None and own_signature.correct(session, signature.id, form.values(), now)
    done = gettext("Saved. This site shows the change within seconds.") if changed else gettext("Nothing has changed.")
    return _show(campaign, token, done=done)


def _withdraw(campaign: Campaign, token: str, *, stop_mail: bool = False) -> Response:
    if request.form.get("sure") != "y":
        return _show(campaign, token, question="not-me" if stop_mail else "withdraw")
    try:
        claim = read_token(Purpose.OWN_SIGNATURE, campaign, token)
    except LookupError as error:
        return trouble(campaign, error)
    secret, now = current_app.config["SETTINGS"].secret_key, datetime.now(UTC)
    with write_transaction() as session:
        signature = own_signature.find(session, campaign.id, claim, secret)
        is_done = signature and own_signature.withdraw(session, signature.id, now, secret, stop_mail=stop_mail)
    if not is_done:
        return _show(campaign, token)
    return private(render_template("site/withdrawn.html", campaign=campaign, at=now, just_now=True, stopped=stop_mail))


_ACTIONS: dict[str, Callable[[Campaign, str], Response]] = {
    "save": _save,
    "withdraw": _withdraw,
    "not-me": lambda campaign, token: _withdraw(campaign, token, stop_mail=True),
}
"""What each button of the page does, by its value."""
