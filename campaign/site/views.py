"""The public pages: each view reads the request, calls one rule and answers with a page or a partial."""

import random
from datetime import UTC, datetime
from typing import Any

from flask import (
    Blueprint,
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
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from campaign import campaigns, feed, guard, letter_changes, pages, pictures, preview_key, sharing, signing
from campaign.campaigns import Stage
from campaign.cleaning import clean
from campaign.extensions import STORAGE_ERRORS, db
from campaign.models import Campaign, CampaignState
from campaign.once import Once
from campaign.pages import public_url
from campaign.sign_form import SignForm
from campaign.static import YEAR

site = Blueprint("site", __name__)

SPREAD_SECONDS = 5
"""Over how many seconds those come back who were asked to wait."""
_panels: Once[tuple[Engine, str], str] = Once(most=256)
"""The thank-you panels: the same for every signer of a campaign."""


@site.get("/")
def home() -> ResponseReturnValue:
    """The campaigns; where only one can be signed, that one."""
    now = datetime.now(UTC)
    shown = campaigns.public(now)
    stages = [campaigns.stage(campaign, now) for campaign in shown]
    if stages.count(Stage.OPEN) == 1:
        return redirect(url_for("site.campaign_page", slug=shown[stages.index(Stage.OPEN)].slug))
    counts = [feed.read(campaign.id).count for campaign in shown]
    return cacheable(render_template("site/home.html", shown=list(zip(shown, stages, counts, strict=True))))


@site.get("/campaigns/<slug>")
def campaign_page(slug: str) -> ResponseReturnValue:
    """The letter, who has signed it, and the form."""
    campaign = find_or_404(slug)
    return cacheable(pages.render("site/campaign.html", campaign, form=SignForm(campaign.language)))


@site.before_request
def refuse_broken_body() -> None:
    """Before the body is looked at."""
    guard.refuse_broken_body(request)


@site.post("/campaigns/<slug>/signatures")
def sign(slug: str) -> ResponseReturnValue:
    """Take a signature; for HTMX the answer is what takes the form's place, for others a page."""
    current_app.extensions["sign_limit"].count(request.remote_addr)
    try:
        campaign, now = find_or_404(slug, to_sign=True), datetime.now(UTC)
        # Before the form is looked at: nobody should mend a field in vain.
        signing.check_open(campaign, now)
        # The page is the same for everyone; by which link they have come, their browser says with the form.
        form = SignForm(campaign.language, came_by=request.referrer)
        if not form.validate():
            template = "site/_sign_form.html" if is_htmx() else "site/campaign.html"
            return pages.render(template, campaign, form=form), 422
        details = form.details()
        signing.sign(db.engine, campaign, details, now)
    except STORAGE_ERRORS:
        current_app.logger.exception("a signature could not be stored")
        db.session.rollback()
        return render_refusal(slug, not_stored=True), 503
    if not is_htmx():
        return redirect(url_for("site.thanks", slug=campaign.slug), 303)
    # Made of what was typed and of nothing else, so that a mailbox that has signed before gets the very same answer.
    own = feed.own_entry(details.name, details.city, details.region, details.country, details.anonymous, now)
    panel = _panels.get((db.engine, campaign.slug), lambda: render_template("site/_thanks.html", campaign=campaign))
    entry = render_template("site/_own_entry.html", campaign=campaign, signatory=own, now=now)
    answer = make_response(panel + entry)
    answer.headers["HX-Trigger"] = "signed"
    return answer


@site.errorhandler(guard.LimitedError)
def limited(error: guard.LimitedError) -> ResponseReturnValue:
    """Ask who shares an address with many others to wait; what they typed is sent again by itself, with HTMX."""
    # Those who wait for the same moment must not all come back in it.
    wait = error.seconds + random.randrange(SPREAD_SECONDS)  # noqa: S311 (no secret hangs on it)
    slug = (request.view_args or {})["slug"]
    return render_refusal(slug, wait=wait, resend=is_htmx()), 429, {"Retry-After": str(wait)}


@site.errorhandler(signing.NotOpenError)
def not_open(error: signing.NotOpenError) -> ResponseReturnValue:
    """Say so to who signs too early or too late."""
    template = "site/_not_open.html" if is_htmx() else "site/campaign.html"
    return pages.render(template, error.campaign, answering=True), 409 if error.stage is Stage.UPCOMING else 410


@site.get("/campaigns/<slug>/thanks")
def thanks(slug: str) -> ResponseReturnValue:
    """The thank-you page of those without JavaScript; its list is read anew, so that a new signer finds themselves."""
    answer = make_response(pages.render("site/thanks.html", find_or_404(slug), fresh=True))
    answer.cache_control.no_store = True
    return answer


@site.get("/campaigns/<slug>/feed")
def feed_partial(slug: str) -> ResponseReturnValue:
    """The partial that an open tab asks for again and again."""
    return cacheable(pages.render("site/_feed.html", find_or_404(slug)))


@site.get("/campaigns/<slug>/signatures")
def signatories(slug: str) -> ResponseReturnValue:
    """All signatories, a page at a time."""
    campaign = find_or_404(slug)
    try:
        page = feed.page(campaign.id, request.args.get("before"))
    except ValueError:
        abort(404)
    older_ones = "before" in request.args
    return cacheable(pages.render("site/signatories.html", campaign, page=page, older_ones=older_ones))


@site.get("/campaigns/<slug>/changes")
def changes(slug: str) -> ResponseReturnValue:
    """What has changed in the letter since somebody signed it, and why."""
    campaign = find_or_404(slug)
    return cacheable(pages.render("site/changes.html", campaign, changes=letter_changes.of(campaign.id) or abort(404)))


@site.get("/campaigns/<slug>/preview")
def preview(slug: str) -> ResponseReturnValue:
    """The page before it is public, for those with a link from the desk; after that, the way to the page itself."""
    with Session(db.engine) as session:
        campaign = campaigns.find_by_any_slug(session, slug) or abort(404)
    key, secret = request.args.get("key", ""), current_app.config["SETTINGS"].secret_key
    try:
        if not preview_key.opens(secret, key, campaign.id):
            abort(404)
    except preview_key.ExpiredError:
        abort(410)
    if campaign.state is not CampaignState.DRAFT:
        return redirect(url_for("site.campaign_page", slug=campaign.slug))
    answer = make_response(pages.preview(campaign))
    answer.cache_control.no_store = True
    answer.headers["X-Robots-Tag"] = "noindex"
    return answer


@site.get("/pictures/<digest>.jpg")
def picture(digest: str) -> ResponseReturnValue:
    """A campaign's picture, which is another one where it changes, so that browsers keep it for ever."""
    try:
        answer = Response(pictures.read(digest).data, mimetype="image/jpeg")
    except LookupError:
        abort(404)
    answer.cache_control.public = answer.cache_control.immutable = True
    answer.cache_control.max_age = YEAR
    return answer


@site.get("/campaigns/<slug>/share/mastodon")
def share_on_mastodon(slug: str) -> ResponseReturnValue:
    """Ask which Mastodon instance, then link to its share page; the link is followed by the visitor, not by us."""
    campaign, instance = find_or_404(slug), clean(request.args.get("instance"))
    try:
        link = sharing.mastodon_link(instance, public_url(campaign), campaign.share_text) if instance else None
    except ValueError:
        return render_template("site/mastodon.html", campaign=campaign, instance=instance, refused=True), 422
    return render_template("site/mastodon.html", campaign=campaign, instance=instance, link=link)


@site.post("/places")
def place() -> ResponseReturnValue:
    """The city and state fields, filled from a US ZIP code; 204 where nothing changes.

    Asked for by POST, so that where people live is in no access log.
    """
    form = SignForm("en")
    return render_template("site/_place.html", form=form) if form.fill_in_place() else ("", 204)


def find_or_404(slug: str, *, to_sign: bool = False) -> Campaign:
    """The campaign of that slug, if the public may see it; who reads under a former slug is sent to the new one."""
    campaign = campaigns.find_public(slug, to_sign=to_sign) or abort(404)
    if campaign.slug != slug and not to_sign:
        address = url_for(request.endpoint or "", **(request.view_args or {}) | {"slug": campaign.slug})
        query = request.query_string.decode("ascii", "replace")
        answer = redirect(f"{address}?{query}" if query else address, 308)
        # The campaign may go back to its old slug; and what is in one visitor's query is not for another.
        answer.cache_control.no_cache = True
        abort(answer)
    return campaign


def is_htmx() -> bool:
    """Whether the request comes from htmx and wants a partial."""
    return request.headers.get("HX-Request") == "true"


def render_refusal(slug: str, **why: Any) -> str:
    """The form again, with what was typed and why it was not taken; without asking the database for anything."""
    template = "site/_sign_form.html" if is_htmx() else "site/refused.html"
    return render_template(template, slug=slug, form=SignForm("en", came_by=request.referrer), **why)


def cacheable(body: str | Response) -> Response:
    """An answer that is the same for everyone, which browsers keep and ask about: 304 while it has not changed."""
    answer = make_response(body)
    answer.cache_control.public = True
    # Browsers ask each time. A proxy keeps it for a second, and for a day while every node is down (RFC 5861). While it
    # asks for the next it may show the last for a second more, and not longer: the next to look is told how it is now.
    # Browsers obey that too, which is less than a signer's page waits before it asks (AFTER_SIGNING in site.js).
    answer.cache_control.max_age = 0
    answer.cache_control.s_maxage = 1
    answer.cache_control.stale_while_revalidate = 1
    answer.cache_control.stale_if_error = 86_400
    answer.add_etag()
    answer.make_conditional(request)
    return answer


@site.app_context_processor
def _helpers() -> dict[str, Any]:
    return {
        "public_url": public_url,
        "letter_html": campaigns.letter_html,
        "share_links": sharing.links,
        "difference": letter_changes.difference,
        "picture_of": pictures.read,
    }
