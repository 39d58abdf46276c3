"""A campaign's figures as an organiser sees them: charts, maps and tables that follow new signatures, and as CSV."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from math import ceil
from typing import Any

from flask import Blueprint, Response, abort, render_template, request
from flask.typing import ResponseReturnValue
from markupsafe import Markup
from sqlalchemy import Engine

from campaign import charts, delivery, places, tiles
from campaign import figures as rules
from campaign.access import Right
from campaign.charts import Bar
from campaign.desk.door import allow
from campaign.extensions import db
from campaign.figures import Series, Unit
from campaign.models import Campaign
from campaign.once import Once

figures = Blueprint("figures", __name__)

_partials: Once[tuple[Engine, int, Unit | None], str] = Once(most=256)
_MOST_LABELS = 6
"""Below a chart; more would run into each other on a phone."""


@figures.get("/campaigns/<slug>/figures")
@allow(Right.FIGURES)
def page(campaign: Campaign) -> ResponseReturnValue:
    """All of a campaign's figures; `by` is the unit of the chart."""
    return render_template("desk/figures.html", campaign=campaign, partial=Markup(_partial(campaign)))  # noqa: S704


@figures.get("/campaigns/<slug>/figures/live")
@allow(Right.FIGURES, live=True)
def live(campaign: Campaign) -> ResponseReturnValue:
    """The partial that an open page asks for again and again."""
    return _partial(campaign)


@figures.get("/campaigns/<slug>/figures/<what>.csv")
@allow(Right.FIGURES)
def as_csv(campaign: Campaign, what: str) -> ResponseReturnValue:
    """A part of the figures: `minute`, `hour`, `day`, `countries`, `states` or `sources`."""
    now = datetime.now(UTC)
    if what in set(Unit):
        series = rules.kept_series(db.session(), campaign, Unit(what), now)
        rows = [(_moment(span.since, series.unit), span.signatures) for span in series.spans]
    elif what in ("countries", "states", "sources"):
        shown = rules.kept_breakdown(db.session(), campaign.id, now)
        rows = {
            "countries": list(shown.countries),
            "states": _named_states(shown.states),
            "sources": _named(shown.sources),
        }[what]
    else:
        abort(404)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow((what, "signatures"))
    writer.writerows((delivery.neutral(name), count) for name, count in rows)
    file = f"{campaign.slug}-{what}-{now:%Y-%m-%d}.csv"
    return Response(
        text.getvalue(), mimetype="text/csv", headers={"Content-Disposition": f'attachment; filename="{file}"'}
    )


def _partial(campaign: Campaign) -> str:
    """The same for everyone who looks at this campaign."""
    try:
        unit = Unit(request.args["by"]) if "by" in request.args else None
    except ValueError:
        abort(404)
    key = db.engine, campaign.id, unit
    return _partials.get(key, lambda: render_template("desk/_figures.html", **_shown(campaign, unit)))


def _shown(campaign: Campaign, unit: Unit | None) -> dict[str, Any]:
    now = datetime.now(UTC)
    read = rules.read(db.session(), campaign, unit, now)
    names = places.countries("en")
    return {
        "campaign": campaign,
        "figures": read,
        "units": Unit,
        "now": now.astimezone(read.series.spans[-1].since.tzinfo),
        "chart": _chart(read.series),
        "times": [(_name(span.since, read.series.unit), span.signatures) for span in reversed(read.series.spans)],
        "countries": [(names.get(code, code), count) for code, count in read.breakdown.countries],
        "states": _named_states(read.breakdown.states),
        "sources": _named(read.breakdown.sources),
        "world": tiles.world(dict(read.breakdown.countries)),
        "us": tiles.states(dict(read.breakdown.states)),
    }


# To draw a year takes a tenth of a second.
@lru_cache(maxsize=64)
def _chart(series: Series) -> Markup:
    every = ceil(len(series.spans) / _MOST_LABELS)
    bars = []
    for n, span in enumerate(series.spans):
        name, at = _name(span.since, series.unit), span.since
        # Round times, at the same place of the clock whenever one looks.
        round_time = {Unit.MINUTE: at.minute % 15 == 0, Unit.HOUR: at.hour % 12 == 0, Unit.DAY: n % every == 0}
        bars.append(Bar(name, _label(at, series.unit) if round_time[series.unit] else "", span.signatures))
    most = max(bars, key=lambda bar: bar.value)
    gist = f"Most: {most.value:,}, {most.name}. Last: {bars[-1].value:,}, {bars[-1].name}, which is not over yet."
    # Escaped by charts.py, which knows nothing of Markup.
    return Markup(charts.bars(bars, "times", f"Signatures by {series.unit}", gist))  # noqa: S704


def _name(at: datetime, unit: Unit) -> str:
    """A span as people read it."""
    day = f"{at.day} {at:%b %Y}"
    return {Unit.MINUTE: f"{at:%H:%M}", Unit.HOUR: f"{day}, {at:%H:%M}", Unit.DAY: day}[unit]


def _label(at: datetime, unit: Unit) -> str:
    """The same, as short as can be."""
    return f"{at:%H:%M}" if unit is Unit.MINUTE or at.hour else f"{at.day} {at:%b}"


def _moment(at: datetime, unit: Unit) -> str:
    """The same for machines (ISO 8601)."""
    return at.date().isoformat() if unit is Unit.DAY else at.isoformat(timespec="minutes")


def _named_states(states: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    return [(places.US_STATES.get(code, "State not known"), count) for code, count in states]


def _named(sources: Sequence[tuple[str | None, int]]) -> list[tuple[str, int]]:
    names = {"": "(no word in the link)", None: "(words of fewer than five each)"}
    return [(word or names[word], count) for word, count in sources]
