"""Public routes for machines: JSON, Atom, robots.txt, and health checks."""

from datetime import UTC, datetime

from flask import Response, current_app, jsonify, make_response
from flask.typing import ResponseReturnValue

from campaign.campaigns import stages, translations
from campaign.signatures import feed
from campaign.site import pages
from campaign.site.blueprint import site
from campaign.site.responses import cacheable, find_or_404
from campaign.web import health


@site.get("/campaigns/<slug>.json")
@site.get("/campaigns/<slug>/<language:tag>.json")
def campaign_json(slug: str, tag: str | None = None) -> ResponseReturnValue:
    """Return the campaign's title, languages, stage, goal, count, and recent signatories as JSON."""
    campaign = find_or_404(slug, tag)
    current = feed.read(campaign.id)
    return cacheable(
        jsonify(
            slug=campaign.slug,
            title=campaign.title,
            language=campaign.language,
            languages={language: pages.public_url(campaign, tag) for tag, language in translations.editions(campaign)},
            state=stages.stage(campaign, datetime.now(UTC)),
            goal=stages.progress(campaign, current.count).goal,
            signatures={
                "count": current.count,
                "recent": [
                    {"name": s.shown_name, "place": s.place, "signed_at": s.listed_at.isoformat(timespec="seconds")}
                    for s in current.recent
                ],
            },
        )
    )


@site.get("/campaigns/<slug>.atom")
@site.get("/campaigns/<slug>/<language:tag>.atom")
def campaign_atom(slug: str, tag: str | None = None) -> ResponseReturnValue:
    """Return the recent signatories as an Atom feed (RFC 4287)."""
    answer = make_response(pages.render("site/campaign.atom.xml", find_or_404(slug, tag)))
    answer.mimetype = "application/atom+xml"
    return cacheable(answer)


@site.get("/robots.txt")
def robots() -> Response:
    """Return robots.txt, which lets search engines index campaigns, but not lists of signatories or signers' pages.

    Signatories agreed only to be listed on this site.
    """
    hidden = ("signatures", "thanks", "confirm", "my-signature")
    lines = ["User-agent: *", *(f"Disallow: /campaigns/*/{view}" for view in hidden)]
    return Response("".join(f"{line}\n" for line in lines), mimetype="text/plain")


@site.get("/healthz")
def healthz() -> Response:
    """Confirm that this process responds."""
    return Response("ok\n", mimetype="text/plain")


@site.get("/readyz")
def readyz() -> Response:
    """Confirm that this process can store a signature: a test write reaches the disk. Otherwise respond with 503.

    The first line of the response is "ready" or the fault of the database. More lines note that Redis can't be reached,
    that no background worker runs, or that mail is late. Signing works without them, so they don't cause a 503.
    """
    fault = health.database()
    lines = [f"database: {fault}" if fault else "ready"]
    if current_app.extensions["shared"].away:
        lines.append("redis: away; each process counts and caches on its own")
    if note := None if fault else health.worker():
        lines.append(f"worker: {note}; run `flask work`")
    if note := None if fault else health.mail():
        lines.append(f"mail: {note}; run `flask mail check`")
    answer = Response("".join(f"{line}\n" for line in lines), 503 if fault else 200, mimetype="text/plain")
    answer.cache_control.no_store = True
    return answer
