"""Views of a campaign's statistics: charts, maps, and tables that follow new signatures, and CSV files."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from math import ceil
from typing import Any

from flask import Blueprint, Response, abort, render_template, request
from flask.typing import ResponseReturnValue
from markupsafe import Markup
from sqlalchemy import Engine

from campaign.accounts.permissions import Right
from campaign.campaigns import translations
from campaign.deliveries import contents
from campaign.desk.access import allow
from campaign.languages.speaking import current, gettext
from campaign.models.campaign import Campaign
from campaign.self_service import pending
from campaign.signatures import places
from campaign.signatures.countries import countries
from campaign.statistics import charts, maps
from campaign.statistics import figures as rules
from campaign.statistics.charts import Bar
from campaign.statistics.figures import Series, Unit
from campaign.storage.database import db
from campaign.storage.single_flight import SingleFlightCache
from campaign.web import formatting

figures = Blueprint("figures", __name__)

_partials: SingleFlightCache[tuple[Engine, int, Unit | None], str] = SingleFlightCache(most=256)
_MOST_LABELS = 6
"""The most labels below a chart; more would overlap on a phone."""


@figures.get("/campaigns/<slug>/figures")
@allow(Right.FIGURES)
def page(campaign: Campaign) -> ResponseReturnValue:
    """Show a campaign's statistics. The `by` parameter selects the unit of the chart."""
    return render_template("desk/statistics/statistics.html", campaign=campaign, partial=Markup(_partial(campaign)))  # noqa: S704


@figures.get("/campaigns/<slug>/figures/live")
@allow(Right.FIGURES, live=True)
def live(campaign: Campaign) -> ResponseReturnValue:
    """Return the partial that an open page polls."""
    return _partial(campaign)


@figures.get("/campaigns/<slug>/figures/<what>.csv")
@allow(Right.FIGURES)
def as_csv(campaign: Campaign, what: str) -> ResponseReturnValue:
    """Download a part of the statistics: `minute`, `hour`, `day`, `countries`, `states`, `sources`, or `languages`.

    While newer signatures are not included yet, the name of the file says as of when the numbers are.
    """
    now = datetime.now(UTC)
    if what in set(Unit):
        series = rules.series(db.session(), campaign, Unit(what), now)
        rows = [(_moment(span.since, series.unit), span.signatures) for span in series.spans]
    elif what in ("countries", "states", "sources", "languages"):
        shown = rules.breakdown(db.session(), campaign)
        rows = {
            "countries": list(shown.countries),
            "states": _named_states(shown.states),
            "sources": _named(shown.sources),
            "languages": list(shown.languages),
        }[what]
    else:
        abort(404)
    text = io.StringIO(newline="")
    text.write(contents.BOM)
    writer = csv.writer(text)
    writer.writerow((what, "signatures"))
    writer.writerows((contents.neutral(name), count) for name, count in rows)
    coverage = rules.coverage(db.session(), campaign, now)
    as_of = f"{now:%Y-%m-%d}"
    if coverage.missing:
        as_of = f"as-of-{coverage.as_of:%Y-%m-%d-%H%M}-UTC" if coverage.as_of else "not-counted-yet"
    file = f"{campaign.slug}-{what}-{as_of}.csv"
    return Response(
        text.getvalue(), mimetype="text/csv", headers={"Content-Disposition": f'attachment; filename="{file}"'}
    )


def _partial(campaign: Campaign) -> str:
    """Return the rendered partial, which all viewers of this campaign share."""
    try:
        unit = Unit(request.args["by"]) if "by" in request.args else None
    except ValueError:
        abort(404)
    key = db.engine, campaign.id, unit
    return _partials.get(key, lambda: render_template("desk/statistics/_statistics.html", **_shown(campaign, unit)))


def _shown(campaign: Campaign, unit: Unit | None) -> dict[str, Any]:
    now = datetime.now(UTC)
    read = rules.read(db.session(), campaign, unit, now)
    names = countries(current().tag)
    return {
        "campaign": campaign,
        "figures": read,
        "waiting": pending.waiting(db.session(), campaign.id),
        "units": Unit,
        "chart": _chart(read.series),
        "times": [(_name(span.since, read.series.unit), span.signatures) for span in reversed(read.series.spans)],
        "countries": [(names.get(code, code), count) for code, count in read.breakdown.countries],
        "states": _named_states(read.breakdown.states),
        "sources": _named(read.breakdown.sources),
        "languages": [(translations.english_name(tag), count) for tag, count in read.breakdown.languages],
        "world": maps.world(dict(read.breakdown.countries)),
        # The map of the country where most signers live comes first.
        "us_first": next(iter(read.breakdown.countries), ("", 0))[0] == "US",
        "us": maps.states(dict(read.breakdown.states)),
    }


def _chart(series: Series) -> Markup:
    every = ceil(len(series.spans) / _MOST_LABELS)
    bars = []
    for n, span in enumerate(series.spans):
        name, at = _name(span.since, series.unit), span.since
        # Label round times, so that the labels don't shift from one refresh to the next.
        round_time = {Unit.MINUTE: at.minute % 15 == 0, Unit.HOUR: at.hour % 12 == 0, Unit.DAY: n % every == 0}
        bars.append(Bar(name, _label(at, series.unit) if round_time[series.unit] else "", span.signatures))
    most = max(bars, key=lambda bar: bar.value)
    description = gettext(
        "Highest: %(highest)s (%(best_time)s). Latest: %(latest)s (%(latest_time)s, not over yet).",
        highest=formatting.number(most.value),
        best_time=most.name,
        latest=formatting.number(bars[-1].value),
        latest_time=bars[-1].name,
    )
    titles = {
        Unit.MINUTE: gettext("Signatures by minute"),
        Unit.HOUR: gettext("Signatures by hour"),
        Unit.DAY: gettext("Signatures by day"),
    }
    # charts.py has escaped the SVG, but returns a plain string.
    return Markup(charts.bars(bars, "times", titles[series.unit], description))  # noqa: S704


def _name(at: datetime, unit: Unit) -> str:
    """Return a span's name as people read it."""
    if unit is Unit.MINUTE:
        return formatting.clock(at)
    return formatting.short_moment(at) if unit is Unit.HOUR else formatting.short_day(at.date(), current().tag)


def _label(at: datetime, unit: Unit) -> str:
    """Return a span's short label for the axis of a chart."""
    is_time = unit is Unit.MINUTE or at.hour
    return formatting.clock(at) if is_time else formatting.short_day(at.date(), current().tag, year=False)


def _moment(at: datetime, unit: Unit) -> str:
    """Return the start of a span in ISO 8601 format."""
    return at.date().isoformat() if unit is Unit.DAY else at.isoformat(timespec="minutes")


def _named_states(states: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    return [(places.US_STATES.get(code, gettext("Unknown state")), count) for code, count in states]


def _named(sources: Sequence[tuple[str | None, int]]) -> list[tuple[str, int]]:
    names = {"": gettext("(no source in the link)"), None: gettext("(sources with fewer than five signers each)")}
    return [(source or names[source], count) for source, count in sources]
