"""The page to which the link in a confirmation message leads, and the form for the code in it.

Opening the page changes nothing: mail scanners open every link, and some run its scripts. A button sends the form that
confirms.
"""

import re
from datetime import UTC, datetime
from typing import Any

from flask import Response, abort, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from markupsafe import escape
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from campaign.campaigns import stages
from campaign.campaigns.stages import Stage
from campaign.languages.speaking import gettext
from campaign.mail.composing import Sender
from campaign.models.campaign import Campaign
from campaign.models.signature import Signature
from campaign.self_service import confirming, own_signature, tokens
from campaign.self_service.confirming import Outcome
from campaign.self_service.tokens import Claim, Purpose
from campaign.settings import Settings
from campaign.signatures import feed
from campaign.signatures.signing import email_key
from campaign.site import pages
from campaign.site.blueprint import site
from campaign.site.responses import find_or_404, is_htmx, private
from campaign.site.sign_form import CodeForm, EmailForm, SignForm
from campaign.storage.database import db
from campaign.storage.single_flight import SingleFlightCache
from campaign.storage.transactions import write_transaction
from campaign.web.formatting import in_a_while
from campaign.web.limits.rate_limits import RateLimitError

STATUS = {
    Outcome.CONFIRMED: 200,
    Outcome.ALREADY: 200,
    Outcome.GONE: 410,
    Outcome.TOO_LATE: 410,
    Outcome.WRONG_CODE: 422,
    Outcome.TOO_MANY_TRIES: 429,
}
_PUNCTUATION = ".,;:!?)]}>'\"”’"
"""Punctuation that mail programs may include in a link. No token ends with it."""


def check_inbox(campaign: Campaign, signed: SignForm, *, is_corrected: bool) -> Response:
    """Return the response to a signer who must confirm: the panel for htmx, or a redirect to the page.

    It depends on nothing but what they typed.
    """
    if not is_htmx():
        # The URL can't contain the address, because browsers keep URLs, and proxies may log them.
        corrected = "email" if is_corrected else None
        path = url_for("site.confirm", slug=campaign.slug, tag=campaign.tag or None, signed="y", corrected=corrected)
        return private(redirect(path, 303))
    key = db.engine, campaign.slug, campaign.tag, is_corrected
    panel = _panels.get(key, lambda: _render_panel(campaign, is_corrected=is_corrected))
    own = {_EMAIL: str(escape(signed.email.data)), _TYPED: _typed(signed)}
    return private(_MARKS.sub(lambda mark: own[mark[0]], panel))


_EMAIL, _TYPED = "\ue000email\ue000", "\ue000typed\ue000"
"""Stand for what differs from signer to signer in the panel."""
_MARKS = re.compile(f"{_EMAIL}|{_TYPED}")
_panels: SingleFlightCache[tuple[Engine, str, str, bool], str] = SingleFlightCache(most=256)
"""Panels with these marks, by campaign, language, and whether the address was corrected. In a crowd, rendering each
would take longer than storing the signature."""


def _render_panel(campaign: Campaign, *, is_corrected: bool) -> str:
    return render_template(
        "site/_check_inbox.html",
        campaign=campaign,
        slug=campaign.slug,
        tag=campaign.tag or None,
        form=CodeForm(formdata=None, data={"email": _EMAIL}),
        again=EmailForm(formdata=None, data={"email": _EMAIL}),
        typed=_TYPED,
        corrected=is_corrected,
        sender=Sender.of(_settings()),
    )


def _typed(signed: SignForm) -> str:
    """Return what a signer has typed, but the address, as hidden fields of the form to sign again."""
    values = ((field.name, "y" if field.data is True else field.data) for field in signed)
    kept = ((name, value) for name, value in values if value and name not in ("email", "shown", "website"))
    return "".join(f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in kept)


@site.get("/campaigns/<slug>/confirm")
@site.get("/campaigns/<slug>/<language:tag>/confirm")
def confirm(slug: str, tag: str | None = None) -> ResponseReturnValue:
    """Show the button that confirms the signature of a link, or, without one, the form for the code."""
    campaign, token, now = find_or_404(slug, tag, or_main=True), asked_token(), datetime.now(UTC)
    if not token:
        signed, corrected = "signed" in request.args, request.args.get("corrected") == "email"
        return _inbox_page(campaign, CodeForm(formdata=None), signed=signed, corrected=corrected)
    try:
        claim = read_token(Purpose.CONFIRM, campaign, token)
    except LookupError as error:
        return trouble(campaign, error)
    with Session(db.engine) as session:
        signature = _signature(session, campaign, claim)
        return _page(campaign, confirming.why_not(campaign, signature, now), signature, now)


@site.post("/campaigns/<slug>/confirm")
@site.post("/campaigns/<slug>/<language:tag>/confirm")
def confirm_signature(slug: str, tag: str | None = None) -> ResponseReturnValue:
    """Confirm a signature by the token of its link, or by its code."""
    campaign = find_or_404(slug, tag, to_sign=True)
    return _by_token(campaign, token) if (token := request.form.get("token")) else _by_code(campaign)


def _by_token(campaign: Campaign, token: str) -> ResponseReturnValue:
    try:
        claim = read_token(Purpose.CONFIRM, campaign, token)
    except LookupError as error:
        return trouble(campaign, error)
    now = datetime.now(UTC)
    with write_transaction() as session:
        signature = _signature(session, campaign, claim)
        outcome = Outcome.GONE
        if signature:
            outcome = confirming.confirm(session, campaign, signature.id, now, entry=claim.entry)
    if outcome in (Outcome.CONFIRMED, Outcome.ALREADY):
        return _to_thanks(campaign)
    if outcome is Outcome.CHANGED:
        with Session(db.engine) as session:
            return _page(campaign, None, _signature(session, campaign, claim), now, changed=True)
    return _page(campaign, outcome, None, now)


def _by_code(campaign: Campaign) -> ResponseReturnValue:
    form, now = CodeForm(), datetime.now(UTC)
    if not form.validate():
        return _code_again(campaign, form, 422)
    try:
        current_app.extensions["code_limit"].count(request.remote_addr)
    except RateLimitError as error:
        wait = in_a_while(error.seconds)
        form.code.errors = [
            gettext("Many codes were sent from your network. Please try again %(in_a_while)s", in_a_while=wait)
        ]
        answer = _code_again(campaign, form, 429)
        answer.headers["Retry-After"] = str(error.seconds)
        return answer
    key = email_key(form.email.data)
    with write_transaction() as session:
        outcome = confirming.confirm_by_code(session, campaign, key, form.code.data, now, _settings().secret_key)
        own = _own_entry(session, campaign, key, now) if outcome is Outcome.CONFIRMED else None
    if outcome in (Outcome.CONFIRMED, Outcome.ALREADY):
        return private(pages.thanked(campaign, own, form.shown.data, now)) if is_htmx() else _to_thanks(campaign)
    form.code.errors = [_words(outcome)]
    return _code_again(campaign, form, STATUS[outcome])


def _words(outcome: Outcome) -> str:
    """Return what to tell somebody whose code doesn't confirm, without a period."""
    return {
        Outcome.WRONG_CODE: gettext(
            "This is not the code for this email address. Check both, or use the link in the message"
        ),
        Outcome.TOO_MANY_TRIES: gettext(
            "Too many codes were tried for this email address. Use the link in the message"
        ),
        Outcome.TOO_LATE: gettext("This petition has closed, and it’s too late to confirm"),
        Outcome.GONE: gettext("This signature can’t be confirmed anymore"),
    }[outcome]


def _own_entry(session: Session, campaign: Campaign, key: str, now: datetime) -> feed.Signatory:
    of_mailbox = Signature.campaign_id == campaign.id, Signature.email_key == key
    return feed.entry_of(session.scalars(select(Signature).where(*of_mailbox)).one(), now)


def _to_thanks(campaign: Campaign) -> Response:
    return private(redirect(url_for("site.thanks", slug=campaign.slug, tag=campaign.tag or None), 303))


def _code_again(campaign: Campaign, form: CodeForm, status: int) -> Response:
    """Return the form for the code with its errors: alone for htmx, otherwise within its page."""
    if not is_htmx():
        return _inbox_page(campaign, form, status)
    where = {"campaign": campaign, "slug": campaign.slug, "tag": campaign.tag or None}
    whole_page = "whole_page" in request.form
    answer = private(render_template("site/_code.html", **where, form=form, whole_page=whole_page), status)
    # The rest of the panel stays, with what the signer has typed.
    answer.headers["HX-Retarget"] = "#code-part"
    return answer


def _inbox_page(campaign: Campaign, form: CodeForm, status: int = 200, **more: Any) -> Response:
    if not _settings().mail_url:
        # Nobody gets a code.
        abort(404)
    sender = Sender.of(_settings())
    html = pages.render("site/check_inbox.html", campaign, form=form, sender=sender, whole_page=True, **more)
    return private(html, status)


def _settings() -> Settings:
    settings: Settings = current_app.config["SETTINGS"]
    return settings


def _signature(session: Session, campaign: Campaign, claim: Claim) -> Signature | None:
    return own_signature.find(session, campaign.id, claim, _settings().secret_key)


def _page(
    campaign: Campaign, why_not: Outcome | None, signature: Signature | None, now: datetime, *, changed: bool = False
) -> Response:
    """Return the page of a link: with the button, or with the reason why there is none.

    The button confirms what the page shows. `changed` says that it isn't what the signer has seen before.
    """
    secret = _settings().secret_key
    can_confirm = signature is not None and why_not is None
    html = render_template(
        "site/confirm.html",
        campaign=campaign,
        why_not=why_not,
        entry=feed.entry_of(signature, now) if signature else None,
        until=confirming.until(campaign, signature, now) if signature else None,
        wants_updates=signature is not None and signature.wants_updates,
        token=own_signature.token(signature, Purpose.CONFIRM, secret) if can_confirm and signature else None,
        changed=changed,
        own_token=_own_token(signature),
        is_open=stages.stage(campaign, now) is Stage.OPEN,
    )
    return private(html, STATUS[why_not] if why_not else 409 if changed else 200)


def _own_token(signature: Signature | None) -> str | None:
    """Return the token of a signer's own page, for a signature that a valid token has led to."""
    if signature is None or not own_signature.can_withdraw(signature):
        return None
    return own_signature.token(signature, Purpose.OWN_SIGNATURE, _settings().secret_key)


def asked_token() -> str:
    """Return the token in the request's URL, or an empty string."""
    return request.args.get("token", "").strip().rstrip(_PUNCTUATION)


class ExpiredLinkError(LookupError):
    """The link has expired."""


def read_token(purpose: Purpose, campaign: Campaign, token: str) -> Claim:
    """Return what a token says.

    Raises:
        ExpiredLinkError: It has expired.
        LookupError: It isn't one of ours, or is for something else.
    """
    try:
        return tokens.read(_settings().secret_key, purpose, campaign.id, token.strip())
    except tokens.ExpiredTokenError:
        raise ExpiredLinkError from None
    except tokens.InvalidTokenError:
        raise LookupError from None


def trouble(campaign: Campaign, error: LookupError) -> Response:
    """Return a page that says that a link doesn't work, and what to do next."""
    is_expired = isinstance(error, ExpiredLinkError)
    html = render_template("site/link_trouble.html", campaign=campaign, is_expired=is_expired)
    return private(html, 410 if is_expired else 404)
