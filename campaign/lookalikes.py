"""Signatures that may not be what they seem, pointed out among a campaign's newest; a person decides about them.

desk/signatures.py shows them. Nothing here hides or removes anything.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from disposable_email_domains import blocklist
from sqlalchemy import ColumnElement, String, func, select, type_coerce
from sqlalchemy.orm import Session, aliased

from campaign.models import Signature

LOOKED_AT = 20_000
"""The newest signatures, among which is looked; so it takes as long with a million."""
SAME = 5
"""Signatures of one name and place that are pointed out; two people of one name are none."""
BURST = 20
"""Signatures from one mail domain in one hour that are pointed out."""
MOST = 50
"""Findings of each kind, the largest first."""

# Of their mailboxes, many sign in every hour of a large campaign.
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
class Same:
    """One name and place, many times."""

    name: str
    city: str
    region: str
    country: str
    number: int


@dataclass(frozen=True)
class Burst:
    """Many from one mail domain within one hour."""

    domain: str
    hour: datetime
    """When the hour begins."""
    number: int


@dataclass(frozen=True)
class ThrowAway:
    """A mail domain that gives addresses for one use."""

    domain: str
    number: int


@dataclass(frozen=True)
class Findings:
    """What is pointed out among the LOOKED_AT newest; only what is listed, for about the rest somebody has decided."""

    same: Sequence[Same]
    bursts: Sequence[Burst]
    throw_away: Sequence[ThrowAway]


def find(session: Session, campaign_id: int, *, with_domains: bool) -> Findings:
    """Look among the campaign's newest; at mail domains only for who may see addresses."""
    newest = (
        select(Signature)
        .where(Signature.campaign_id == campaign_id, Signature.listed_at.is_not(None))
        .order_by(Signature.listed_at.desc(), Signature.id.desc())
        .limit(LOOKED_AT)
    )
    among = aliased(Signature, newest.subquery())
    same = _same(session, among)
    if not with_domains:
        return Findings(same, [], [])
    domain, hour = _domain_and_hour(session, among)
    hours = [
        Burst(domain, datetime.fromisoformat(f"{hour}:00:00").replace(tzinfo=UTC), number)
        for domain, hour, number in session.execute(select(domain, hour, func.count()).group_by(domain, hour))
    ]
    bursts = [burst for burst in hours if burst.number >= BURST and burst.domain not in _LARGE]
    of_domains: Counter[str] = Counter()
    for burst in hours:
        of_domains[burst.domain] += burst.number
    throw_away = [ThrowAway(domain, number) for domain, number in of_domains.most_common() if domain in blocklist]
    return Findings(same, sorted(bursts, key=lambda burst: -burst.number)[:MOST], throw_away[:MOST])


def _same(session: Session, among: type[Signature]) -> list[Same]:
    number = func.count()
    name = func.lower(among.name)
    place = (func.lower(among.city), func.lower(among.region), among.country)
    found = session.execute(
        select(func.min(among.name), func.min(among.city), func.min(among.region), among.country, number)
        .group_by(name, *place)
        .having(number >= SAME)
        .order_by(number.desc(), name)
        .limit(MOST)
    )
    return [Same(*row) for row in found]


def _domain_and_hour(session: Session, among: type[Signature]) -> tuple[ColumnElement[str], ColumnElement[Any]]:
    """The mail domain, and the hour of signing in UTC as 2027-03-01 09."""
    if session.connection().dialect.name == "sqlite":
        domain = func.substr(among.email_key, func.instr(among.email_key, "@") + 1)
        return domain, func.substr(type_coerce(among.signed_at, String), 1, 13)
    in_utc = func.timezone("UTC", among.signed_at)
    return func.split_part(among.email_key, "@", 2), func.to_char(in_utc, "YYYY-MM-DD HH24")
