"""Views of the public pages. Each reads the request, calls the functions that do the work, and renders the result."""

import math
import random
from datetime import UTC, datetime
from typing import Any

from flask import (
    Response,
    abort,
    current_app,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from campaign.campaigns import lookup, preview_links, sharing, stages, translations
from campaign.campaigns.letter import changes as letter_changes
from campaign.campaigns.letter import html_writer
from campaign.campaigns.pictures import storage as pictures
from campaign.campaigns.stages import Stage
from campaign.languages import speaking
from campaign.models.campaign import Campaign, CampaignState
from campaign.signatures import feed, signing
from campaign.signatures.cleaning import clean
from campaign.site import confirming, pages
from campaign.site.blueprint import site
from campaign.site.pages import public_url
from campaign.site.responses import cacheable, find_or_404, is_htmx
from campaign.site.sign_form import SignForm
from campaign.storage.database import STORAGE_ERRORS, db
from campaign.web import addresses, page_language, request_checks
from campaign.web.limits import rate_limits
from campaign.web.static_files import YEAR

SPREAD_SECONDS = 5
"""Seconds over which retries of rate-limited signers are spread at random."""


@site.get("/")
def home() -> ResponseReturnValue:
    """List the campaigns. If exactly one is open, redirect to it, unless the operator wants a list."""
    now = datetime.now(UTC)
    still_open = [campaign for campaign in lookup.public_campaigns(now) if stages.stage(campaign, now) is Stage.OPEN]
    if len(still_open) == 1 and current_app.config["SETTINGS"].site_home == "single":
        # Keep the query: it may contain the source (signatures/sources.py).
        return redirect(addresses.with_query(url_for("site.campaign_page", slug=still_open[0].slug)))
    return _list_of_campaigns()


@site.get("/campaigns")
def all_campaigns() -> ResponseReturnValue:
    """List the campaigns, even while the home page leads to the only open one."""
    return _list_of_campaigns()


def _list_of_campaigns() -> Response:
    page_language.negotiate()
    now = datetime.now(UTC)
    shown = [
        (translations.best_edition(campaign, speaking.current().tag), stages.stage(campaign, now), count)
        for campaign in lookup.public_campaigns(now, translated=True)
        for count in [feed.read(campaign.id).count]
    ]
    return cacheable(render_template("site/home.html", shown=shown))


def _has_others(campaign: Campaign) -> bool:
    """Return whether the site lists other campaigns than this one."""
    return any(other.id != campaign.id for other in lookup.public_campaigns(datetime.now(UTC)))


@site.get("/campaigns/<slug>")
@site.get("/campaigns/<slug>/<language:tag>")
def campaign_page(slug: str, tag: str | None = None) -> ResponseReturnValue:
    """Show the letter, its signatories, and the sign form."""
    campaign = find_or_404(slug, tag)
    return cacheable(pages.render("site/campaign.html", campaign, form=SignForm(campaign.language)))


@site.before_request
def refuse_broken_body() -> None:
    """Refuse a body that isn't a complete form in UTF-8, before a view reads it."""
    request_checks.refuse_broken_body(request)


@site.post("/campaigns/<slug>/signatures")
@site.post("/campaigns/<slug>/<language:tag>/signatures")
def sign(slug: str, tag: str | None = None) -> ResponseReturnValue:
    """Store a signature. Return partials to htmx, and redirect browsers without JavaScript to the thank-you page.

    If signers must confirm, the panel or page asks for that instead.
    """
    current_app.extensions["sign_limit"].count(request.remote_addr)
    settings = current_app.config["SETTINGS"]
    try:
        campaign, now = find_or_404(slug, tag, to_sign=True), datetime.now(UTC)
        # Check this before validation, so that signers of a closed campaign don't correct fields for nothing.
        signing.check_open(campaign, now)
        # Visitors of all links get the same cached page, so its form has no source. The Referer header has the link.
        form = SignForm(campaign.language, page_url=request.referrer)
        if not form.validate():
            template = "site/_sign_form.html" if is_htmx() else "site/campaign.html"
            return pages.render(template, campaign, form=form), 422
        details = form.details()
        signing.sign(db.engine, campaign, details, now, settings)
    except STORAGE_ERRORS:
        current_app.logger.exception("a signature could not be stored")
        db.session.rollback()
        return render_refusal(slug, tag, not_stored=True), 503
    # Use only what the signer's page sent, so that a mailbox that has signed before gets exactly the same response.
    is_corrected = form.email_hint() is not None
    if signing.must_confirm(campaign, settings):
        return confirming.check_inbox(campaign, form, is_corrected=is_corrected)
    if not is_htmx():
        # The URL can't contain the address, because URLs are logged.
        corrected = "email" if is_corrected else None
        path = url_for("site.thanks", slug=campaign.slug, tag=campaign.tag or None, corrected=corrected)
        return redirect(path, 303)
    own = feed.own_entry(details.name, details.city, details.region, details.country, details.anonymous, now)
    return pages.thanked(campaign, own, form.shown.data, now, corrected_email=details.email if is_corrected else "")


@site.errorhandler(rate_limits.RateLimitError)
def limited(error: rate_limits.RateLimitError) -> ResponseReturnValue:
    """Ask a rate-limited signer to wait. With htmx, the page sends the form again automatically."""
    # Spread the retries: signers who are limited together must not all come back in the same second.
    wait = error.seconds + random.randrange(SPREAD_SECONDS)  # noqa: S311 (needs no security)
    asked: dict[str, str] = request.view_args or {}
    refusal = render_refusal(asked["slug"], asked.get("tag"), wait=wait, resend=is_htmx())
    return refusal, 429, {"Retry-After": str(wait)}


@site.errorhandler(signing.NotOpenError)
def not_open(error: signing.NotOpenError) -> ResponseReturnValue:
    """Tell a signer that the campaign is not open yet or is closed."""
    template = "site/_not_open.html" if is_htmx() else "site/campaign.html"
    return pages.render(template, error.campaign, answering=True), 409 if error.stage is Stage.UPCOMING else 410


@site.get("/campaigns/<slug>/thanks")
@site.get("/campaigns/<slug>/<language:tag>/thanks")
def thanks(slug: str, tag: str | None = None) -> ResponseReturnValue:
    """Show the thank-you page, for browsers without JavaScript. Its fresh list includes the new signer."""
    is_corrected = request.args.get("corrected") == "email"
    answer = make_response(
        pages.render("site/thanks.html", find_or_404(slug, tag, or_main=True), fresh=True, is_corrected=is_corrected)
    )
    answer.cache_control.no_store = True
    return answer


@site.get("/campaigns/<slug>/feed")
@site.get("/campaigns/<slug>/<language:tag>/feed")
def feed_partial(slug: str, tag: str | None = None) -> ResponseReturnValue:
    """Return the newest signatories, count, and progress, which open tabs poll."""
    return cacheable(pages.render("site/_refresh.html", find_or_404(slug, tag, or_main=True)))


@site.get("/campaigns/<slug>/signatures")
@site.get("/campaigns/<slug>/<language:tag>/signatures")
def signatories(slug: str, tag: str | None = None) -> ResponseReturnValue:
    """Show one page of the list of all signatories."""
    campaign = find_or_404(slug, tag, or_main=True)
    try:
        page = feed.page(campaign.id, request.args.get("before"))
    except ValueError:
        abort(404)
    older_ones = "before" in request.args
    return cacheable(pages.render("site/signatories.html", campaign, page=page, older_ones=older_ones))


@site.get("/privacy")
@site.get("/campaigns/<slug>/privacy")
@site.get("/campaigns/<slug>/<language:tag>/privacy")
def privacy(slug: str | None = None, tag: str | None = None) -> ResponseReturnValue:
    """Say what is stored about signers of the campaign, or of any campaign: why, who sees it, and how long."""
    campaign = find_or_404(slug, tag, or_main=True) if slug else None
    if campaign is None:
        page_language.negotiate()
    limits = ("sign_limit", "code_limit") if current_app.config["SETTINGS"].mail_url else ("sign_limit",)
    minutes = math.ceil(max(current_app.extensions[limit].seconds_kept for limit in limits) / 60)
    return cacheable(render_template("site/privacy.html", campaign=campaign, slug=slug, tag=tag, minutes=minutes))


@site.get("/campaigns/<slug>/changes")
@site.get("/campaigns/<slug>/<language:tag>/changes")
def changes(slug: str, tag: str | None = None) -> ResponseReturnValue:
    """Show how and why the letter has changed since people signed it."""
    campaign = find_or_404(slug, tag, or_main=True)
    found = letter_changes.all_changes(campaign.id, campaign.tag) or abort(404)
    return cacheable(pages.render("site/changes.html", campaign, changes=letter_changes.with_comparison(found)))


@site.get("/campaigns/<slug>/preview")
@site.get("/campaigns/<slug>/<language:tag>/preview")
def preview(slug: str, tag: str | None = None) -> ResponseReturnValue:
    """Show a draft to people with a preview link. Redirect to the page once the campaign is public."""
    with Session(db.engine) as session:
        found = lookup.find_by_any_slug(session, slug) or abort(404)
        campaign = translations.edition(found, tag or "") or abort(404)
    key, secret = request.args.get("key", ""), current_app.config["SETTINGS"].secret_key
    try:
        if not preview_links.is_valid(secret, key, campaign.id):
            abort(404)
    except preview_links.ExpiredError:
        abort(410)
    if campaign.state is not CampaignState.DRAFT:
        return redirect(url_for("site.campaign_page", slug=campaign.slug, tag=campaign.tag or None))
    answer = make_response(pages.preview(campaign))
    answer.cache_control.no_store = True
    answer.headers["X-Robots-Tag"] = "noindex"
    return answer


@site.get("/pictures/<digest>.jpg")
def picture(digest: str) -> ResponseReturnValue:
    """Return a picture. Its URL contains a hash of its content, so browsers cache it forever."""
    try:
        answer = Response(pictures.read(digest).data, mimetype="image/jpeg")
    except LookupError:
        abort(404)
    answer.cache_control.public = answer.cache_control.immutable = True
    answer.cache_control.max_age = YEAR
    return answer


@site.get("/campaigns/<slug>/share/mastodon")
@site.get("/campaigns/<slug>/<language:tag>/share/mastodon")
def share_on_mastodon(slug: str, tag: str | None = None) -> ResponseReturnValue:
    """Ask for the visitor's Mastodon server, then link to its share page. We never contact that server."""
    campaign, instance = find_or_404(slug, tag, or_main=True), clean(request.args.get("instance"))
    try:
        link = sharing.mastodon_link(instance, public_url(campaign), sharing.text_of(campaign)) if instance else None
    except ValueError:
        return render_template("site/mastodon.html", campaign=campaign, instance=instance, refused=True), 422
    return render_template("site/mastodon.html", campaign=campaign, instance=instance, link=link)


@site.post("/places")
def place() -> ResponseReturnValue:
    """Return the city and state fields filled in from a US ZIP code, or 204 if nothing changes.

    The route uses POST to keep ZIP codes out of access logs.
    """
    form = SignForm()
    speaking.choose(form.language.data)
    return render_template("site/_place.html", form=form) if form.fill_in_place() else ("", 204)


def render_refusal(slug: str, tag: str | None, **why: Any) -> str:
    """Render the form with the signer's input and the reason for the refusal, without using the database."""
    template = "site/_sign_form.html" if is_htmx() else "site/refused.html"
    form = SignForm(page_url=request.referrer)
    speaking.choose(form.language.data)
    return render_template(template, slug=slug, tag=tag, form=form, **why)


@site.app_context_processor
def _helpers() -> dict[str, Any]:
    return {
        "public_url": public_url,
        "letter_html": html_writer.to_html,
        "share_links": sharing.links,
        "share_text": sharing.text_of,
        "preview_locale": sharing.preview_locale,
        "picture_of": pictures.read,
        "has_others": _has_others,
        "editions": translations.editions,
        "own_name": translations.own_name,
        "offer_in": pages.offer_in,
        "must_confirm": lambda campaign: signing.must_confirm(campaign, current_app.config["SETTINGS"]),
    }
