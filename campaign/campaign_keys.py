"""What a campaign is made of, key by key, and what each may be: the one place that checks, for files and for the desk.

campaign_file.py reads and writes the file, desk/campaign_form.py the form.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from babel import Locale, UnknownLocaleError

from campaign import pictures, time_zones
from campaign.pictures import Prepared

SLUG = r"[a-z0-9]+(?:-[a-z0-9]+)*"
"""What a slug looks like, in files and in addresses."""
LETTER_LENGTH = 50_000
"""Thirty pages of print."""
MOST_SIGNATURES = 1_000_000_000


class WrongError(ValueError):
    """Some keys are wrong: `errors` says of each what; the words go on after the key's name."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        """Remember what is wrong with which key."""
        super().__init__("; ".join(f"{key}: {reason}" for key, reason in errors.items()))
        self.errors = dict(errors)


@dataclass(frozen=True)
class CampaignFile:
    """What a campaign's file says; fields are named and meant as those of `models.Campaign`."""

    slug: str
    title: str
    category: str
    summary: str
    addressees: str
    goal: int
    thanks: str
    share_text: str
    donate_url: str
    donate_text: str
    language: str
    opens_at: datetime | None
    closes_at: datetime | None
    letter: str
    goal_step: int = 0
    time_zone: str = "UTC"
    picture: Prepared | None = None
    picture_text: str = ""
    deliver_anonymous: bool = False

    def columns(self) -> dict[str, Any]:
        """The same as the columns of `models.Campaign`, which knows a picture by its digest."""
        return {**vars(self), "picture": self.picture.digest if self.picture else ""}


def check(given: Mapping[str, object]) -> CampaignFile:
    """What was given, cleaned; what may be left out has its default.

    Raises:
        WrongError: something is missing or wrong.
    """
    values, errors = check_each(given)
    if not errors:
        errors = _check_together(file := CampaignFile(**values))
    if errors:
        raise WrongError(errors)
    return file


def check_each(given: Mapping[str, object]) -> tuple[dict[str, Any], dict[str, str]]:
    """The keys that are right, cleaned, and what is wrong with the others."""
    values: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for key, check_one in CHECKS.items():
        try:
            values[key] = check_one(given.get(key))
        except ValueError as error:
            errors[key] = str(error)
    return values, errors


def _check_together(file: CampaignFile) -> dict[str, str]:
    wrong = {}
    if file.opens_at and file.closes_at and file.closes_at <= file.opens_at:
        wrong["closes_at"] = "must be later than opens_at"
    if file.donate_url and not file.donate_text:
        wrong["donate_text"] = "is missing; donate_url needs a sentence beside it"
    if file.picture and not file.picture_text:
        wrong["picture_text"] = "is missing; it says what the picture shows to those who don’t see it"
    return wrong


# Neither XML nor UTF-8 can carry them; YAML can write them as \x01 or \ud800.
_NO_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def text(most: int, *, needed: bool = True) -> Callable[[object], str]:
    """A check for text of `most` characters at most."""

    def check(value: object) -> str:
        if value is None or value == "":
            if needed:
                raise ValueError("is missing")
            return ""
        if not isinstance(value, str):
            raise ValueError(f"must be text, not {value!r}; put it in quotes")
        if _NO_TEXT.search(value):
            raise ValueError("holds a control character")
        if len(value.strip()) > most:
            raise ValueError(f"must have {most} characters or fewer, and has {len(value.strip())}")
        # White space alone is as good as nothing.
        return value.strip() or check("")

    return check


def _slug(value: object) -> str:
    slug = text(80)(value)
    if not re.fullmatch(SLUG, slug):
        raise ValueError(f"must be made of small letters a to z, digits and single hyphens, not {slug!r}")
    return slug


def _addressees(value: object) -> str:
    names = value if isinstance(value, list) else [value]
    lines = [line for name in names for line in text(1000)(name).split("\n") if line.strip()]
    return "\n".join(text(200)(line) for line in lines) or text(200)(None)


def _number(least: int, default: int | None) -> Callable[[object], int]:
    def check(value: object) -> int:
        if value is None and default is not None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= MOST_SIGNATURES:
            kind = "a whole number above 0" if least else "0 or a whole number"
            raise ValueError(f"must be {kind}, not {value!r}" if value is not None else "is missing")
        return value

    return check


def _url(value: object) -> str:
    url = text(500, needed=False)(value)
    if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname or re.search(r"\s", url)):
        raise ValueError(f"must be an address that begins with https://, not {url!r}")
    return url


def _language(value: object) -> str:
    language = text(20)(value or "en")
    try:
        Locale.parse(language, sep="-")
    except (ValueError, UnknownLocaleError):
        raise ValueError(f"must be a language tag such as en, de or pt-BR, not {language!r}") from None
    return language


def _time(value: object) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError(f"must be a date, a time and a zone such as 2027-03-01T09:00:00Z, not '{value}'")
    if not 2000 <= value.year < 3000:
        raise ValueError(f"must be in a year from 2000 to 2999, not {value.year}")
    return value.astimezone(UTC)


def _zone(value: object) -> str:
    zone = text(64)(value or "UTC")
    if zone not in time_zones.names():
        raise ValueError(f"must be a time zone such as Europe/Berlin or UTC, not {zone!r}")
    return zone


def _picture(value: object) -> Prepared | None:
    return pictures.prepare(value) if isinstance(value, bytes) else value if isinstance(value, Prepared) else None


def _yes_or_no(value: object) -> bool:
    if not isinstance(value, bool | None):
        raise ValueError(f"must be yes or no, not {value!r}")
    return bool(value)


CHECKS: dict[str, Callable[[object], Any]] = {
    "slug": _slug,
    "title": text(200),
    "category": text(60),
    "summary": text(500),
    "addressees": _addressees,
    "goal": _number(1, None),
    "goal_step": _number(0, 0),
    "thanks": text(1000),
    "share_text": text(300),
    "donate_url": _url,
    "donate_text": text(300, needed=False),
    "language": _language,
    "opens_at": _time,
    "closes_at": _time,
    "time_zone": _zone,
    "picture": _picture,
    "picture_text": text(300, needed=False),
    "deliver_anonymous": _yes_or_no,
    "letter": text(LETTER_LENGTH),
}
"""Each key's check, in the order of a file; it raises ValueError, whose words go on after the key's name."""
