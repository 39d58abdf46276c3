"""Measures the organisers' table of signatures with a million of them, as somebody who has signed in sees it."""

from datetime import UTC, datetime
from urllib.parse import urlencode

from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from benchmarks import measure
from benchmarks.measure import GUNICORN, PAGE, Rate, Target
from campaign import campaigns, create_app, cursor, search
from campaign.extensions import db, write_transaction
from campaign.models import Signature, SignatureState
from campaign.settings import Settings
from tests.desk.people import Person, accept, browser, enter_password, invitation, set_up_app, token_of

CONNECTIONS = 4
"""People at the desk who look at the very same moment."""

FILTERS = {
    "first": "",
    "listed": "standing=listed",
    "few are removed": "standing=removed",
    "few are hidden": "standing=hidden",
    "many are in one country": "country=DE",
    "few are in one country": "country=LI",
    "none are in one country": "country=AQ",
    "many are anonymous": "anonymous=yes",
    "many are of one source": "source=mail",
    "few are of one source": "source=rare",
    "a day": "since={day}&until={day}",
    "several at once": "country=DE&anonymous=yes&source=mail",
}
SEARCHES = {
    "a twelfth has the name": "words=garcia",
    "how the name begins": "words=garc",
    "two words": "words=ada+garc",
    "a place": "words=california",
    "few have the name": "words=zoe+kieb",
    "none has the name": "words=nobody",
    "none with the name is removed": "words=garcia&standing=removed",
    "an address": "address=rare-5%40rare.example",
    "how an address begins": "address=rare-",
    "a domain of all": "address=%40example.org",
    "a domain of few": "address=%40rare.example",
}


def table(settings: Settings) -> dict[str, Rate]:
    """The slowest of the pages of the table, and of the searches, in a site with many signatures."""
    app = create_app(settings)
    with app.app_context():
        campaign = campaigns.every(db.session())[0]
        last = _set_a_few_apart(campaign.id)
        # On SQLite, who searches first brings the index up to date: for a million, in some twenty seconds.
        search.catch_up()
        middle = db.session.execute(select(Signature.signed_at).where(Signature.id == last // 2)).scalar_one()
        deep = cursor.after(middle, last // 2)
        person = Person(f"bench-{datetime.now(UTC):%f}@example.org")
        client = browser(app)
        accept(client, invitation(app, person.email, "admin"))
        enter_password(client, person.email)
        set_up_app(client, person)
        session = client.get_cookie("desk", path="/desk")
        token = token_of(FlaskClient.get(client, "/desk/account").text)
        db.session.remove()
        db.engine.dispose()
    if session is None:
        raise RuntimeError("nobody could sign in")
    queries = {name: query.format(day=middle.date()) for name, query in FILTERS.items()}
    queries["in the middle"] = urlencode({"before": deep})
    with measure.serve(*GUNICORN, "wsgi:app", DATABASE_URL=settings.database_url, SECRET_KEY=settings.secret_key) as (
        url,
        _,
    ):
        address, cookie = f"{url}/desk{PAGE}/signatures", f"desk={session.value}"
        pages = {name: Target(f"{address}?{query}", cookie=cookie) for name, query in queries.items()}
        searches = {
            name: Target(f"{address}/search", cookie=cookie, body=f"{query}&csrf_token={token}")
            for name, query in SEARCHES.items()
        }
        # Each worker loads the desk when somebody first asks it for that.
        measure.load(pages["first"], connections=CONNECTIONS, runs=1)
        return {"page": _slowest(pages), "search": _slowest(searches)}


def _slowest(targets: dict[str, Target]) -> Rate:
    # One run of each: there are two dozen, and the slowest counts.
    rates = dict(zip(targets, measure.load(*targets.values(), connections=CONNECTIONS, runs=1), strict=True))
    for name, rate in rates.items():
        print(f"    {name}: p99 {rate.p99:.0f} ms, {rate.per_second:.0f}/s, {rate.errors} errors", flush=True)
        if rate.errors:
            raise SystemExit(f"THE DESK FAILED: {name}")
    return max(rates.values(), key=lambda rate: rate.p99)


def _set_a_few_apart(campaign_id: int) -> int:
    """Make a few signatures, spread over all, such as no others are; give back the highest id."""
    with write_transaction() as session:
        of_campaign = select(func.max(Signature.id)).where(Signature.campaign_id == campaign_id)
        last = session.scalar(of_campaign) or 0
        # As many as must have come by a word before it is shown.
        for one in (5, last // 10, last // 5, last // 3, last // 2 + 7, last - 7):
            apart = {
                "name": "Zoë Kieber",
                "country": "LI",
                "source": "rare",
                "email": f"rare-{one}@rare.example",
                "email_key": f"rare-{one}@rare.example",
            }
            session.execute(update(Signature).where(Signature.id == one).values(apart))
            hidden = update(Signature).where(Signature.id == one + 1).values(listed_at=None)
            session.execute(hidden)
            removed = {"state": SignatureState.REMOVED, "listed_at": None}
            session.execute(update(Signature).where(Signature.id == one + 2).values(removed))
    return last
