"""The entries of the book: which signatures are named, and their order and groups."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from campaign.deliveries import contents
from campaign.deliveries.book import signatories
from campaign.deliveries.book.signatories import Entry
from campaign.deliveries.contents import Purpose, Sorting
from campaign.languages import speaking
from campaign.models.campaign import Campaign
from campaign.models.signature import Signature
from campaign.signatures import fake
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import Publish, Sign

Listed = Callable[..., list[Entry | None]]


@pytest.fixture
def listed(campaign: Campaign, tmp_path: Path) -> Listed:
    """Return a function that returns the entries of the campaign's book."""

    def listed(**options: Any) -> list[Entry | None]:
        db.session.rollback()
        of = contents.snapshot(db.session(), campaign.id)
        order = contents.order(Purpose.HAND_OVER, ["name"], **options)
        folder = tmp_path / "entries"
        folder.mkdir(exist_ok=True)
        entries = list(signatories.entries(db.engine, db.session.get_one(Campaign, campaign.id), order, of, folder))
        assert list(folder.iterdir()) == [], "no copy may remain on the disk"
        return entries

    return listed


def names(entries: list[Entry | None]) -> list[str | None]:
    return [entry and entry.name for entry in entries]


def hide(name: str) -> None:
    with write_transaction() as session:
        session.execute(update(Signature).where(Signature.name == name).values(listed_at=None))


def sign_all(sign: Sign, *signers: dict[str, str]) -> None:
    for number, signer in enumerate(signers):
        sign(email=f"{number}@example.org", **signer)


def test_entries_are_in_the_order_of_time_and_the_campaigns_language(
    publish: Publish, sign: Sign, listed: Listed
) -> None:
    sign_all(sign, {"name": "Zoe"}, {"name": "Grace Hopper", "anonymous": "y", "country": "FR"})
    publish(language="de")
    assert listed() == [Entry("Zoe", "Los Angeles, California, Vereinigte Staaten"), Entry("Anonym", "Frankreich")]
    with write_transaction() as session:
        session.execute(update(Campaign).values(deliver_anonymous=True))
    assert names(listed()) == ["Zoe", "Grace Hopper (Anonym)"]


@pytest.mark.parametrize(("language", "name"), [("da", "Anonym"), ("hu", "Névtelen"), ("sw", "Anonymous")])
def test_anonymous_signers_are_named_in_the_campaigns_language_or_in_english(
    publish: Publish, sign: Sign, listed: Listed, language: str, name: str
) -> None:
    sign(name="Ada", anonymous="y")
    publish(language=language)
    assert names(listed()) == [name]
    assert not speaking.is_chosen()


def test_entries_by_name_follow_the_alphabet_and_end_with_unnamed_signers(
    publish: Publish, sign: Sign, listed: Listed
) -> None:
    anonymous = {"name": "Bea", "anonymous": "y"}
    sign_all(sign, {"name": "Åsa"}, {"name": "Zoe"}, anonymous, {"name": "örjan"}, {"name": "Cleo"})
    publish(language="sv")
    assert names(listed(sorting=Sorting.NAME)) == ["Cleo", "Zoe", "Åsa", "örjan", "Anonym"]


@pytest.mark.parametrize("sorting", Sorting)
def test_groups_are_countries_and_us_states(sign: Sign, listed: Listed, sorting: Sorting) -> None:
    us, at_home = {"country": "US", "postal_code": ""}, {"country": "DE", "postal_code": ""}
    sign_all(
        sign,
        {"name": "Dan", **us, "region": "Texas", "city": "Austin"},
        {"name": "Cem", **us, "region": "california", "city": "Oakland"},
        {"name": "Ben", **us, "region": "Nowhere", "city": "Atlantis"},
        {"name": "Abe", **us, "region": "Texas", "city": "Austin", "anonymous": "y"},
        {"name": "Ada", **at_home, "region": "Bayern", "city": "Hof"},
    )
    assert listed(grouped=True, sorting=sorting) == [
        Entry("Ada", "Hof, Bayern", ("Germany",)),
        Entry("Ben", "Atlantis, Nowhere", ("United States",)),
        Entry("Anonymous", "", ("United States",)),
        Entry("Cem", "Oakland", ("United States", "California")),
        Entry("Dan", "Austin", ("United States", "Texas")),
    ]


@pytest.mark.parametrize("options", [{}, {"grouped": True}, {"sorting": Sorting.NAME}], ids=str)
def test_hidden_signatures_count_and_are_named_only_if_the_organizer_says_so(
    sign: Sign, listed: Listed, options: dict[str, Any]
) -> None:
    sign_all(sign, {"name": "Ada"}, {"name": "Ben"}, {"name": "Cem"})
    hide("Ada")
    assert sorted(map(str, names(listed(**options)))) == ["Ben", "Cem", "None"]
    assert names(listed(names_hidden=True, **options)) == ["Ada", "Ben", "Cem"]


def test_hidden_anonymous_signer_stays_anonymous(sign: Sign, listed: Listed) -> None:
    sign(name="Ada", anonymous="y")
    hide("Ada")
    assert listed(names_hidden=True) == [Entry("Anonymous", "United States")]


def test_number_of_runs_on_the_disk_does_not_change_the_order(
    campaign: Campaign, listed: Listed, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(fake.sign(campaign.id, 200, datetime.now(UTC)))
    whole = listed(sorting=Sorting.NAME, grouped=True)
    monkeypatch.setattr(signatories, "RUN", 7)
    assert listed(sorting=Sorting.NAME, grouped=True) == whole
    assert len(whole) == 200
