"""Measure the pages of the desk that show signatures or figures, as a signed-in admin."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.error import HTTPError
from urllib.parse import urlencode

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from benchmarks import measure
from benchmarks.measure import GUNICORN, PAGE, Rate, Target
from campaign import create_app
from campaign.accounts import audit_log
from campaign.campaigns import editing, lookup
from campaign.campaigns.files import reading
from campaign.models.account import Account
from campaign.models.signature import Signature, SignatureState
from campaign.moderation import actions, indexing
from campaign.moderation.actions import Action
from campaign.settings import ROOT, Settings
from campaign.signatures import fake
from campaign.statistics import roll_ups
from campaign.storage import pagination
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.desk.people import Person, accept, browser, enter_password, invitation, set_up_app, token_of

Row = Callable[[str, str, str, str, bool], None]
"""`Report.row` of bench.py."""
CONNECTIONS = 4
"""Concurrent requests."""
FIRST = {"figures": 100}
"""The target for the first request for a page of each part after the site has started, in milliseconds."""
OTHER_FIRST = 500
"""The same target for all other parts."""
EMPTY = "/campaigns/empty"
"""A campaign without signatures."""
WARM_UP = 4
"""Requests for each page of that campaign: enough for both workers."""
HIDDEN, RESTORED = 500, 100
"""How many signatures are hidden together, and how many of them are restored. The activity log shows both."""

FILTERS = {
    "first": "",
    "listed": "standing=listed",
    "removed (few)": "standing=removed",
    "hidden (few)": "standing=hidden",
    "country with many": "country=DE",
    "country with few": "country=LI",
    "country with none": "country=AQ",
    "anonymous (many)": "anonymous=yes",
    "source with many": "source=mail",
    "source with few": "source=rare",
    "one day": "since={day}&until={day}",
    "several filters": "country=DE&anonymous=yes&source=mail",
}
SEARCHES = {
    "name of a twelfth of all": "words=garcia",
    "beginning of a name": "words=garc",
    "two words": "words=ada+garc",
    "a place": "words=california",
    "rare name": "words=zoe+kieb",
    "name without matches": "words=nobody",
    "name and filter without matches": "words=garcia&standing=removed",
    "email address": "address=rare-5%40rare.example",
    "beginning of an email address": "address=rare-",
    "domain of all": "address=%40example.org",
    "domain of few": "address=%40rare.example",
}


FIGURES = {
    "by minute": "figures?by=minute",
    "by hour": "figures?by=hour",
    "by day": "figures?by=day",
    "days as CSV": "figures/day.csv",
    "countries as CSV": "figures/countries.csv",
    "sources as CSV": "figures/sources.csv",
}


def report(row: Row, database: str, settings: Settings, *, new: int, p99: int) -> None:
    """Measure every page of the desk that shows signatures or figures, cold and warm.

    Then do it again right after `new` signatures have been stored that no background worker has seen.

    Args:
        row: Adds a row to the results.
        database: Its name in the results.
        settings: The settings of a site with many signatures.
        new: The number of new signatures.
        p99: The target for p99, in milliseconds.
    """
    app = create_app(settings)
    with app.app_context():
        campaign_id = lookup.all_campaigns(db.session())[0].id
        visit = _prepare(app, campaign_id)
        _publish_empty()
    for more in (0, new):
        with app.app_context():
            for _ in fake.sign(campaign_id, more, datetime.now(UTC)):
                pass
            db.engine.dispose()
        with measure.serve(
            *GUNICORN, "wsgi:app", DATABASE_URL=settings.database_url, SECRET_KEY=settings.secret_key
        ) as (url, _):
            # Let both workers load the code and the templates, but no data of the campaign.
            for targets in visit.parts(f"{url}/desk", EMPTY).values():
                for target in [*targets.values()] * WARM_UP:
                    # Without signers, no source may be searched for: the desk refuses it, on the same page.
                    with suppress(HTTPError):
                        measure.milliseconds(target)
            for part, targets in visit.parts(f"{url}/desk", PAGE).items():
                when = f", right after {more:,} new signatures" if more else ""
                name, most = f"desk, {part}, {database}{when}", FIRST.get(part, OTHER_FIRST)
                _report_part(row, name, targets, p99, most)


def _report_part(row: Row, name: str, targets: dict[str, Target], p99: int, most: int) -> None:
    first = {what: measure.milliseconds(target) for what, target in targets.items()}
    print("    first: " + ", ".join(f"{what} {time:.0f} ms" for what, time in first.items()), flush=True)
    cold, warm = max(first.values()), _slowest(targets).p99
    beside = f"the slowest; the first request {cold:.0f} ms"
    row(f"{name}, p99", f"{warm:.0f} ms", beside, f"{p99} ms, first {most} ms", warm <= p99 and cold <= most)


@dataclass(frozen=True)
class Visit:
    """What an admin's requests need."""

    session: str
    """The session cookie."""
    token: str
    """The token of forms."""
    queries: dict[str, str]
    """The filters of the table."""

    def parts(self, desk: str, campaign: str) -> dict[str, dict[str, Target]]:
        """Return the pages of each part of the desk, from the desk's URL and a campaign's path."""
        cookie, token = f"desk={self.session}", f"csrf_token={self.token}"

        def page(path: str) -> Target:
            return Target(f"{desk}{campaign}/{path}", cookie=cookie)

        return {
            "list of campaigns": {"list": Target(f"{desk}/", cookie=cookie)},
            "figures": {name: page(path) for name, path in FIGURES.items()},
            "table": {name: page(f"signatures?{query}") for name, query in self.queries.items()},
            "search": {
                name: Target(f"{desk}{campaign}/signatures/search", cookie=cookie, body=f"{query}&{token}")
                for name, query in SEARCHES.items()
            },
            "possible duplicates": {"duplicates": page("look-alikes")},
            "deliveries": {"deliveries": page("deliveries")},
            "activity log": {"activity log": page("record")},
        }


def _prepare(app: Flask, campaign_id: int) -> Visit:
    """Do the background worker's work, and sign in."""
    last = _make_a_few_special(campaign_id)
    # Only SQLite has an index to keep current. Indexing a million signatures takes half a minute.
    while db.engine.dialect.name == "sqlite" and indexing.index_piece() != indexing.LOOK_AGAIN:
        pass
    while roll_ups.add_piece(datetime.now(UTC)):
        pass
    middle = db.session.execute(select(Signature.signed_at).where(Signature.id == last // 2)).scalar_one()
    person = Person(f"bench-{datetime.now(UTC):%f}@example.org")
    client = browser(app)
    accept(client, invitation(app, person.email, "admin"))
    enter_password(client, person.email)
    set_up_app(client, person)
    _moderate(campaign_id, person.email, last // 4)
    token = token_of(FlaskClient.get(client, "/desk/account").text)
    session = client.get_cookie("desk", path="/desk")
    db.session.remove()
    db.engine.dispose()
    if session is None:
        raise RuntimeError("could not sign in")
    queries = {name: query.format(day=middle.date()) for name, query in FILTERS.items()}
    queries["in the middle"] = urlencode({"before": pagination.after(middle, last // 2)})
    return Visit(session.value, token, queries)


def _moderate(campaign_id: int, email: str, first: int) -> None:
    """Hide and restore signatures as the account with this email address, so that the activity log names some.

    Args:
        campaign_id: The campaign's id.
        email: The email address.
        first: The id of the first signature to hide.
    """
    ids, now = range(first, first + HIDDEN), datetime.now(UTC)
    with write_transaction() as session:
        by = audit_log.actor(session.scalars(select(Account).where(Account.email == email)).one())
        for action, of in ((Action.HIDE, ids), (Action.RESTORE, ids[:RESTORED])):
            actions.act(session, by, campaign_id, action, of, "Benchmark", now, may_remove=True)


def _publish_empty() -> None:
    [sample] = reading.read_all((ROOT / "campaigns").glob("*.md"))
    with write_transaction() as session:
        file = replace(sample.campaign, slug=EMPTY.rpartition("/")[2])
        editing.publish(session, audit_log.COMMAND, file, datetime.now(UTC))


def _slowest(targets: dict[str, Target]) -> Rate:
    measured = measure.load(*targets.values(), connections=CONNECTIONS)
    rates = dict(zip(targets, measured, strict=True))
    for name, rate in rates.items():
        print(f"    {name}: p99 {rate.p99:.0f} ms, {rate.per_second:.0f}/s, {rate.errors} errors", flush=True)
        if rate.errors:
            raise SystemExit(f"THE DESK FAILED: {name}")
    return max(rates.values(), key=lambda rate: rate.p99)


def _make_a_few_special(campaign_id: int) -> int:
    """Change a few signatures, spread over the table, so that rare filters match them; return the highest id."""
    with write_transaction() as session:
        of_campaign = select(func.max(Signature.id)).where(Signature.campaign_id == campaign_id)
        last = session.scalar(of_campaign) or 0
        # The desk shows a source only if at least five signers came by it.
        for number in (5, last // 10, last // 5, last // 3, last // 2 + 7, last - 7):
            special = {
                "name": "Zoë Kieber",
                "country": "LI",
                "source": "rare",
                "email": f"rare-{number}@rare.example",
                "email_key": f"rare-{number}@rare.example",
            }
            session.execute(update(Signature).where(Signature.id == number).values(special))
            hidden = update(Signature).where(Signature.id == number + 1).values(listed_at=None)
            session.execute(hidden)
            removed = {"state": SignatureState.REMOVED, "listed_at": None}
            session.execute(update(Signature).where(Signature.id == number + 2).values(removed))
    return last
