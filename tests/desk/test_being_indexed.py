"""While the worker indexes signatures on SQLite, the desk says which ones a search could not look at."""

import pytest

from campaign.models.account import Role
from campaign.models.campaign import Campaign
from campaign.moderation import unindexed
from tests.conftest import SLUG, Publish, only_sqlite
from tests.desk.conftest import AtDeskAs
from tests.desk.test_signatures import standings
from tests.moderation.signatures import index_all, put

pytestmark = only_sqlite
PAGE = f"/desk/campaigns/{SLUG}/signatures"
BEING_INDEXED = "The newest 12 signatures and changes are still being indexed."


@pytest.fixture(autouse=True)
def crowd(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve signatures that aren't indexed, of which a search looks at the newest five."""
    monkeypatch.setattr(unindexed, "LOOK", 5)
    put(campaign, {"name": "Oldest"}, *({"name": "Ada", "email": f"{n}@example.org"} for n in range(11)))


@pytest.mark.slow
def test_search_says_how_many_signatures_are_being_indexed(at_desk: AtDeskAs) -> None:
    client = at_desk(Role.MODERATOR)
    page = client.post(f"{PAGE}/search", data={"words": "ada"}).text
    assert BEING_INDEXED in page
    assert "looked only at the latest of them" in page
    assert "The background worker indexes them. It isn’t running." in page
    assert "At least 5 signatures match." in page
    page = client.post(f"{PAGE}/search", data={"words": "oldest"}).text
    assert BEING_INDEXED in page
    assert "No matches among the signatures searched so far." in page
    assert "0 signatures match" not in page
    assert "being indexed" not in client.get(PAGE).text
    index_all()
    page = client.post(f"{PAGE}/search", data={"words": "ada"}).text
    assert "being indexed" not in page
    assert "11 signatures match." in page


def test_change_of_all_matches_reports_unsearched_signatures(at_desk: AtDeskAs) -> None:
    client = at_desk(Role.MODERATOR)
    form = {"words": "ada", "everyone": "y", "sure": "all", "reason": "spam"}
    page = client.post(f"{PAGE}/hide", data=form).text
    assert "5 signatures hidden." in page
    assert f"{BEING_INDEXED} They may not all have been searched. Repeat the action once they are indexed." in page
    index_all()
    assert "6 signatures hidden. 5 left unchanged." in client.post(f"{PAGE}/hide", data=form).text
    assert standings() == ["listed"] + ["hidden"] * 11


def test_search_of_another_campaign_says_nothing_of_the_crowd(at_desk: AtDeskAs, publish: Publish) -> None:
    put(publish(slug="other"), {"name": "Ada"})
    page = at_desk(Role.MODERATOR).post("/desk/campaigns/other/signatures/search", data={"words": "ada"}).text
    assert "1 signature matches." in page
    assert "being indexed" not in page


def test_signatures_that_are_too_many_to_count_are_called_many(
    at_desk: AtDeskAs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unindexed, "MOST_COUNTED", 10)
    page = at_desk(Role.MODERATOR).post(f"{PAGE}/search", data={"words": "ada"}).text
    assert "Many new signatures and changes are still being indexed." in page
