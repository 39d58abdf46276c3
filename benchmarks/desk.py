"""Measure the organizers' table of a million signatures, as a signed-in admin."""

from datetime import UTC, datetime
from urllib.parse import urlencode

from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from benchmarks import measure
from benchmarks.measure import GUNICORN, PAGE, Rate, Target
from campaign import create_app
from campaign.campaigns import lookup
from campaign.models.signature import Signature, SignatureState
from campaign.moderation import indexing
from campaign.settings import Settings
from campaign.storage import pagination
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.desk.people import Person, accept, browser, enter_password, invitation, set_up_app, token_of

CONNECTIONS = 4
"""Concurrent requests."""

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


def table(settings: Settings) -> dict[str, Rate]:
    """Return the rates of the slowest table page and of the slowest search."""
    app = create_app(settings)
    with app.app_context():
        campaign = lookup.all_campaigns(db.session())[0]
        last = _make_a_few_special(campaign.id)
        # On SQLite, the background worker indexes a million signatures in half a minute.
        while indexing.index_piece() < indexing.LOOK_AGAIN:
            pass
        middle = db.session.execute(select(Signature.signed_at).where(Signature.id == last // 2)).scalar_one()
        deep = pagination.after(middle, last // 2)
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
        raise RuntimeError("could not sign in")
    queries = {name: query.format(day=middle.date()) for name, query in FILTERS.items()}
    queries["in the middle"] = urlencode({"before": deep})
    with measure.serve(*GUNICORN, "wsgi:app", DATABASE_URL=settings.database_url, SECRET_KEY=settings.secret_key) as (
        url,
        _,
    ):
        table_url, cookie = f"{url}/desk{PAGE}/signatures", f"desk={session.value}"
        pages = {name: Target(f"{table_url}?{query}", cookie=cookie) for name, query in queries.items()}
        searches = {
            name: Target(f"{table_url}/search", cookie=cookie, body=f"{query}&csrf_token={token}")
            for name, query in SEARCHES.items()
        }
        # Each worker loads the desk at the first request for it.
        measure.load(pages["first"], connections=CONNECTIONS, runs=1)
        return {"page": _slowest(pages), "search": _slowest(searches)}


def _slowest(targets: dict[str, Target]) -> Rate:
    # One run of each target is enough: there are two dozen, and only the slowest counts.
    rates = dict(zip(targets, measure.load(*targets.values(), connections=CONNECTIONS, runs=1), strict=True))
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
