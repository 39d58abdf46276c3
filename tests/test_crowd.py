"""Many at once, on a real gunicorn with two workers."""

from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from campaign import tally
from campaign.extensions import db
from campaign.models import Campaign
from tests.conftest import ADA, HTMX, Server, stored


def post(server: Server, **fields: str) -> int:
    request = Request(f"{server.page}/signatures", urlencode(ADA | fields).encode(), HTMX)
    try:
        with urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def test_the_same_mailbox_64_times_at_once_is_one_signature(server: Server, campaign: Campaign) -> None:
    with ThreadPoolExecutor(64) as crowd:
        statuses = list(crowd.map(lambda n: post(server, name=f"Ada {n}", email=f"a.d.a+{n}@gmail.com"), range(64)))
    assert statuses == [200] * 64
    assert len(stored()) == 1
    assert tally.count(db.session(), campaign.id) == 1


def test_a_crowd_is_counted_to_the_last_signer(server: Server, campaign: Campaign) -> None:
    with ThreadPoolExecutor(16) as crowd:
        statuses = list(crowd.map(lambda n: post(server, email=f"ada{n}@example.org"), range(200)))
    assert statuses == [200] * 200
    assert {signature.email for signature in stored()} == {f"ada{n}@example.org" for n in range(200)}
    assert tally.check(db.session(), campaign.id) == tally.Check(tallied=200, stored=200)
