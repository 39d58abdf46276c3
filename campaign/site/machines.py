"""The public routes that machines read: JSON, Atom, robots.txt, and whether this site is well."""

from datetime import UTC, datetime

from flask import Response, current_app, jsonify, make_response
from flask.typing import ResponseReturnValue

from campaign import campaigns, feed, pages, readiness
from campaign.site.views import cacheable, find_or_404, site


@site.get("/campaigns/<slug>.json")
def campaign_json(slug: str) -> ResponseReturnValue:
    """Count, goal, stage and recent signatories."""
    campaign = find_or_404(slug)
    current = feed.read(campaign.id)
    return cacheable(
        jsonify(
            slug=campaign.slug,
            title=campaign.title,
            state=campaigns.stage(campaign, datetime.now(UTC)),
            goal=campaigns.progress(campaign, current.count).goal,
            signatures={
                "count": current.count,
                "recent": [
                    {"name": s.name, "place": s.place, "signed_at": s.listed_at.isoformat(timespec="seconds")}
                    for s in current.recent
                ],
            },
        )
    )


@site.get("/campaigns/<slug>.atom")
def campaign_atom(slug: str) -> ResponseReturnValue:
    """The recent signatories for feed readers (RFC 4287)."""
    answer = make_response(pages.render("site/campaign.atom.xml", find_or_404(slug)))
    answer.mimetype = "application/atom+xml"
    return cacheable(answer)


@site.get("/robots.txt")
def robots() -> Response:
    """Search engines may have the campaigns, but not the lists of people, who signed here and not there."""
    return Response(
        "User-agent: *\nDisallow: /campaigns/*/signatures\nDisallow: /campaigns/*/thanks\n",
        mimetype="text/plain",
    )


@site.get("/healthz")
def healthz() -> Response:
    """This process answers."""
    return Response("ok\n", mimetype="text/plain")


@site.get("/readyz")
def readyz() -> Response:
    """This process can take a signature: a write reaches the disk. If not, 503 and a line for what is in the way.

    Signing goes on without Redis, so that its line is only a note.
    """
    fault = readiness.database()
    lines = [f"database: {fault}" if fault else "ready"]
    if current_app.extensions["shared"].away:
        lines.append("redis: away; each process limits and keeps on its own")
    answer = Response("".join(f"{line}\n" for line in lines), 503 if fault else 200, mimetype="text/plain")
    answer.cache_control.no_store = True
    return answer
