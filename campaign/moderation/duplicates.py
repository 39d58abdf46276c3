"""Find possible duplicates, links, and suspicious email domains among a campaign's newest signatures.

The desk shows the findings, and a moderator decides about them. This module hides and removes nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial
from itertools import islice
from typing import Any

from disposable_email_domains import blocklist
from sqlalchemy import ColumnElement, Engine, String, func, select, type_coerce
from sqlalchemy.orm import Session, aliased

from campaign.models.audit_log import Record
from campaign.models.columns import NAME_LENGTH, PLACE_LENGTH
from campaign.models.signature import Signature
from campaign.storage.database import db
from campaign.storage.single_flight import SingleFlightCache
from campaign.text.folding import comparable
from campaign.text.links import may_contain_link

LOOKED_AT = 20_000
"""How many of the newest signatures are searched, so that the time doesn't grow with the campaign."""
SAME = 5
"""How many signatures with the same name and place make a finding. Two people can share a name, so two make none."""
BURST = 20
"""How many signatures from one email domain within one hour make a finding."""
MOST = 50
"""The most findings of each kind that are reported, the largest first."""

# Providers that are never reported as a burst: in a large campaign, many of their mailboxes sign in any hour.
# fmt: off
_LARGE = frozenset({
    "126.com", "163.com", "aol.com", "comcast.net", "duck.com", "fastmail.com", "free.fr", "gmail.com", "gmx.at",
    "gmx.ch", "gmx.de", "gmx.net", "hotmail.co.uk", "hotmail.com", "hotmail.de", "hotmail.fr", "icloud.com",
    "live.com", "mac.com", "mail.com", "mail.ru", "me.com", "msn.com", "naver.com", "orange.fr", "outlook.com",
    "outlook.de", "pm.me", "posteo.de", "proton.me", "protonmail.com", "qq.com", "rediffmail.com", "sbcglobal.net",
    "t-online.de", "uol.com.br", "verizon.net", "wanadoo.fr", "web.de", "yahoo.co.in", "yahoo.co.uk", "yahoo.com",
    "yahoo.de", "yahoo.fr", "yandex.ru", "ymail.com",
})
# fmt: on


@dataclass(frozen=True)
class RepeatedName:
    """Many signatures with the same name and place."""

    name: str
    city: str
    region: str
    country: str
    number: int


@dataclass(frozen=True)
class PossibleLink:
    """A signature whose name or place may contain a link, although the sign form took it for a name."""

    name: str
    city: str
    region: str
    country: str


@dataclass(frozen=True)
class Burst:
    """Many signatures from one email domain within one hour."""

    domain: str
    hour: datetime
    """The start of the hour."""
    number: int


@dataclass(frozen=True)
class DisposableDomain:
    """A domain of disposable email addresses."""

    domain: str
    number: int


@dataclass(frozen=True)
class Findings:
    """The findings among the LOOKED_AT newest listed signatures. Others are hidden or removed already."""

    same: Sequence[RepeatedName]
    links: Sequence[PossibleLink]
    bursts: Sequence[Burst]
    disposable: Sequence[DisposableDomain]


CACHE_TICKS = 30
"""How many seconds moderators of a campaign see the same findings, unless one of them changes signatures. Finding them
takes a tenth of a second in a campaign with LOOKED_AT signatures or more."""
_found: SingleFlightCache[tuple[Engine, int, bool, int], Findings] = SingleFlightCache(most=64, ticks=CACHE_TICKS)


def current(session: Session, campaign_id: int, *, with_domains: bool) -> Findings:
    """Return what `find` returns, cached for CACHE_TICKS, unless somebody has changed signatures since."""
    last_change = select(func.max(Record.id)).where(Record.campaign_id == campaign_id)
    key = db.engine, campaign_id, with_domains, session.scalar(last_change) or 0
    return _found.get(key, lambda: find(session, campaign_id, with_domains=with_domains))


def find(session: Session, campaign_id: int, *, with_domains: bool) -> Findings:
    """Return findings among the campaign's newest signatures.

    Args:
        with_domains: Whether to include email domains, which only accounts that may see email addresses get.
    """
    newest = (
        select(Signature)
        .where(Signature.campaign_id == campaign_id, Signature.listed_at.is_not(None))
        .order_by(Signature.listed_at.desc(), Signature.id.desc())
        .limit(LOOKED_AT)
    )
    recent = aliased(Signature, newest.subquery())
    columns = recent.name, recent.city, recent.region, recent.country
    number = func.count()
    rows = [RepeatedName(*row) for row in session.execute(select(*columns, number).group_by(*columns))]
    same, links = _same(rows), _links(rows)
    if not with_domains:
        return Findings(same, links, [], [])
    domain, hour = _domain_and_hour(session, recent)
    hours = [
        Burst(domain, datetime.fromisoformat(f"{hour}:00:00").replace(tzinfo=UTC), number)
        for domain, hour, number in session.execute(select(domain, hour, func.count()).group_by(domain, hour))
    ]
    bursts = [burst for burst in hours if burst.number >= BURST and burst.domain not in _LARGE]
    of_domains: Counter[str] = Counter()
    for burst in hours:
        of_domains[burst.domain] += burst.number
    disposable = [
        DisposableDomain(domain, number) for domain, number in of_domains.most_common() if domain in blocklist
    ]
    return Findings(same, links, sorted(bursts, key=lambda burst: -burst.number)[:MOST], disposable[:MOST])


def _same(rows: Iterable[RepeatedName]) -> list[RepeatedName]:
    """Return the names and places that are repeated in any spelling, shown in their most frequent one."""
    spellings: defaultdict[tuple[str, ...], list[RepeatedName]] = defaultdict(list)
    # SQLite ignores case only in ASCII letters, and neither database knows all spellings of a letter. Most places are
    # repeated, so they are folded only once.
    folded = cache(partial(comparable, longest=max(NAME_LENGTH, PLACE_LENGTH)))
    for row in rows:
        spellings[folded(row.name), folded(row.city), folded(row.region), row.country].append(row)
    found = [
        replace(min(each, key=lambda one: (-one.number, one.name)), number=number)
        for each in spellings.values()
        if (number := sum(one.number for one in each)) >= SAME
    ]
    return sorted(found, key=lambda one: (-one.number, one.name))[:MOST]


def _links(rows: Iterable[RepeatedName]) -> list[PossibleLink]:
    is_doubtful = cache(may_contain_link)
    found = (row for row in rows if any(map(is_doubtful, (row.name, row.city, row.region))))
    return [PossibleLink(row.name, row.city, row.region, row.country) for row in islice(found, MOST)]


def _domain_and_hour(session: Session, recent: type[Signature]) -> tuple[ColumnElement[str], ColumnElement[Any]]:
    """Return expressions for the email domain and for the hour of signing, in UTC and formatted as 2027-03-01 09."""
    if session.connection().dialect.name == "sqlite":
        domain = func.substr(recent.email_key, func.instr(recent.email_key, "@") + 1)
        return domain, func.substr(type_coerce(recent.signed_at, String), 1, 13)
    in_utc = func.timezone("UTC", recent.signed_at)
    return func.split_part(recent.email_key, "@", 2), func.to_char(in_utc, "YYYY-MM-DD HH24")
