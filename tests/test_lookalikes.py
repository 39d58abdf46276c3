"""Signatures that look alike, and mail domains that look odd, are pointed out and nothing else."""

from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import Any

import pytest
from sqlalchemy import update

from campaign import lookalikes
from campaign.extensions import db, write_transaction
from campaign.lookalikes import Burst, Findings, Same, ThrowAway
from campaign.models import Campaign, Signature
from tests.conftest import Publish, stored
from tests.test_signature_table import put

NOW = datetime(2027, 3, 1, 9, 30, tzinfo=UTC)


def find(campaign: Campaign, with_domains: bool = True) -> Findings:
    db.session.rollback()
    return lookalikes.find(db.session(), campaign.id, with_domains=with_domains)


_number = count()


def some(number: int, domain: str = "example.org", **each: Any) -> list[dict[str, Any]]:
    """So many people, each with a mailbox and, unless it is given, a name that nobody else has."""
    people = []
    for one in islice(_number, number):
        person = {"signed_at": NOW, "listed_at": NOW, "email": f"{one}@{domain}", "name": f"Number {one}"}
        people.append(person | each)
    return people


def test_one_name_and_place_many_times_is_pointed_out(campaign: Campaign) -> None:
    ada = {"name": "Ada Lovelace", "city": "London", "country": "GB"}
    put(campaign, *some(5, **ada), *some(1, **ada | {"name": "ADA LOVELACE"}))
    put(campaign, *some(4, name="Bea", city="Paris"))
    for number in range(6):
        put(campaign, *some(1, name="Cleo", city=f"City {number}"))
    [same] = find(campaign).same
    assert (same.name.casefold(), same.city, same.country, same.number) == ("ada lovelace", "London", "GB", 6)


def test_many_from_one_mail_domain_within_an_hour_are_pointed_out(campaign: Campaign) -> None:
    hour = NOW.replace(minute=0)
    put(campaign, *some(20, "burst.example"), *some(19, "calm.example"))
    put(campaign, *some(1, "calm.example", signed_at=NOW + timedelta(hours=1)))
    assert find(campaign).bursts == [Burst("burst.example", hour, 20)]


def test_large_providers_have_no_bursts(campaign: Campaign) -> None:
    put(campaign, *some(30, "gmail.com"))
    assert find(campaign).bursts == []


def test_domains_of_addresses_for_one_use_are_pointed_out(campaign: Campaign) -> None:
    put(campaign, *some(2, "mailinator.com"), *some(3, "example.com"))
    assert find(campaign).throw_away == [ThrowAway("mailinator.com", 2)]


def test_who_may_not_see_addresses_is_told_of_no_domain(campaign: Campaign) -> None:
    put(campaign, *some(30, "mailinator.com", name="Ada"))
    assert find(campaign, with_domains=False) == Findings([Same("Ada", "", "", "US", 30)], [], [])


def test_what_is_hidden_or_removed_is_not_pointed_out_again(campaign: Campaign) -> None:
    put(campaign, *some(30, "mailinator.com", name="Ada"))
    with write_transaction() as session:
        session.execute(update(Signature).values(listed_at=None))
    assert find(campaign) == Findings([], [], [])


def test_only_the_newest_of_this_campaign_are_looked_at(
    campaign: Campaign, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookalikes, "LOOKED_AT", 10)
    put(campaign, *some(30, name="Old", signed_at=NOW - timedelta(days=1), listed_at=NOW - timedelta(days=1)))
    put(campaign, *some(10, name="New"))
    put(publish(slug="other"), *some(30, name="Else"))
    assert [same.name for same in find(campaign).same] == ["New"]


def test_pointing_out_changes_nothing(campaign: Campaign) -> None:
    put(campaign, *some(30, "mailinator.com", name="Ada"))
    find(campaign)
    assert all(signature.listed_at for signature in stored())
