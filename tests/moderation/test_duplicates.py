"""Possible duplicates, links, and suspicious email domains are found, and nothing is changed."""

from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import Any

import pytest
from sqlalchemy import update

from campaign.models.campaign import Campaign
from campaign.models.signature import Signature
from campaign.moderation import duplicates
from campaign.moderation.duplicates import Burst, DisposableDomain, Findings, RepeatedName
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import Publish, stored
from tests.moderation.signatures import put

NOW = datetime(2027, 3, 1, 9, 30, tzinfo=UTC)


def find(campaign: Campaign, with_domains: bool = True) -> Findings:
    db.session.rollback()
    return duplicates.find(db.session(), campaign.id, with_domains=with_domains)


_number = count()


def signers(number: int, domain: str = "example.org", **each: Any) -> list[dict[str, Any]]:
    """Return the values of signatures with different email addresses and, unless given, different names."""
    people = []
    for n in islice(_number, number):
        person = {"signed_at": NOW, "listed_at": NOW, "email": f"{n}@{domain}", "name": f"Number {n}"}
        people.append(person | each)
    return people


def test_repeated_name_and_place_is_found(campaign: Campaign) -> None:
    ada = {"name": "Ada Lovelace", "city": "London", "country": "GB"}
    put(campaign, *signers(5, **ada), *signers(1, **ada | {"name": "ADA LOVELACE"}))
    put(campaign, *signers(4, name="Bea", city="Paris"))
    for number in range(6):
        put(campaign, *signers(1, name="Cleo", city=f"City {number}"))
    [same] = find(campaign).same
    assert (same.name.casefold(), same.city, same.country, same.number) == ("ada lovelace", "London", "GB", 6)


def test_repeated_name_is_found_in_every_spelling(campaign: Campaign) -> None:
    spellings = ["JOSÉ 神田", "José \ufa19田", "Jose\u0301 神田", "josé 神\U000e0100田", "José 神田", "José 神田"]
    put(campaign, *(one for name in spellings for one in signers(1, name=name, city="Ｋöln", country="DE")))
    put(campaign, *signers(4, name="Jose 神田", city="Ｋöln", country="DE"))
    assert find(campaign).same == [RepeatedName("José 神田", "Ｋöln", "", "DE", 6)]


def test_name_or_place_that_could_be_a_link_is_found(campaign: Campaign) -> None:
    put(campaign, *signers(1, name="K.Dev"), *signers(1, name="Ada", city="Rio.de Janeiro", country="BR"))
    put(campaign, *signers(1, name="J.de Vries", city="St. Moritz"), *signers(3, name="Bea"))
    found = {(link.name, link.city, link.country) for link in find(campaign).links}
    assert found == {("K.Dev", "", "US"), ("Ada", "Rio.de Janeiro", "BR")}


@pytest.mark.parametrize(("number", "is_found"), [(4, False), (5, True)])
def test_name_and_place_are_found_from_five_signatures_on(campaign: Campaign, number: int, is_found: bool) -> None:
    put(campaign, *signers(number, name="Ada"))
    assert bool(find(campaign).same) is is_found


@pytest.mark.slow
def test_fifty_largest_findings_of_each_kind_are_reported(campaign: Campaign) -> None:
    put(
        campaign, *(one for number in range(51) for one in signers(5, name=f"Ada {number}")), *signers(1, name="Ada 50")
    )
    put(campaign, *(one for number in range(51) for one in signers(20, f"burst{number}.example")))
    findings = find(campaign)
    assert (len(findings.same), findings.same[0].number, len(findings.bursts)) == (50, 6, 50)


def test_burst_from_one_email_domain_is_found(campaign: Campaign) -> None:
    hour = NOW.replace(minute=0)
    put(campaign, *signers(20, "burst.example"), *signers(19, "calm.example"))
    put(campaign, *signers(1, "calm.example", signed_at=NOW + timedelta(hours=1)))
    assert find(campaign).bursts == [Burst("burst.example", hour, 20)]


def test_bursts_from_large_providers_are_ignored(campaign: Campaign) -> None:
    put(campaign, *signers(30, "gmail.com"))
    assert find(campaign).bursts == []


def test_disposable_email_domains_are_found(campaign: Campaign) -> None:
    put(campaign, *signers(2, "mailinator.com"), *signers(3, "example.com"))
    assert find(campaign).disposable == [DisposableDomain("mailinator.com", 2)]


def test_email_domains_are_left_out_unless_requested(campaign: Campaign) -> None:
    put(campaign, *signers(30, "mailinator.com", name="Ada"))
    assert find(campaign, with_domains=False) == Findings([RepeatedName("Ada", "", "", "US", 30)], [], [], [])


def test_hidden_and_removed_signatures_are_ignored(campaign: Campaign) -> None:
    put(campaign, *signers(30, "mailinator.com", name="Ada"))
    with write_transaction() as session:
        session.execute(update(Signature).values(listed_at=None))
    assert find(campaign) == Findings([], [], [], [])


@pytest.mark.slow
def test_only_the_newest_signatures_of_the_campaign_are_searched(
    campaign: Campaign, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "LOOKED_AT", 10)
    put(campaign, *signers(30, name="Old", signed_at=NOW - timedelta(days=1), listed_at=NOW - timedelta(days=1)))
    put(campaign, *signers(10, name="New"))
    put(publish(slug="other"), *signers(30, name="Else"))
    assert [same.name for same in find(campaign).same] == ["New"]


def test_finding_duplicates_changes_nothing(campaign: Campaign) -> None:
    put(campaign, *signers(30, "mailinator.com", name="Ada"))
    find(campaign)
    assert all(signature.listed_at for signature in stored())
