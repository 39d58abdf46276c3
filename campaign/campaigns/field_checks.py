"""The check of each kind of field: text, numbers, times, and the rest.

A check takes what a person wrote, or a value of the right type, and returns the cleaned value. It raises ValueError
with a full sentence that says what to do, for campaign files and for the desk's form alike. `fields.py` says which
check each field has.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime

from babel import Locale, UnknownLocaleError

from campaign.campaigns import time_zones
from campaign.campaigns.letter import checks as letter_checks
from campaign.campaigns.letter.markdown import LETTER_LENGTH
from campaign.campaigns.pictures.preparing import Prepared, prepare
from campaign.text import urls
from campaign.text.bounded_text import quoted
from campaign.text.pasted_text import unusable_character, with_line_breaks

SLUG = r"[a-z0-9]+(?:-[a-z0-9]+)*"
"""Regular expression of a slug, in files and in URLs."""
SLUG_LENGTH = 80
"""The most characters of a slug."""
MOST_ADDRESSEES = 1000
"""The most addressees of a campaign. Only one parliament in the world has more members."""
MOST_SIGNATURES = 1_000_000_000


def text(noun: str, most: int, missing: str = "") -> Callable[[object], str]:
    """Return a check for text.

    Args:
        noun: What the text is, as it follows "the" in error messages.
        most: The most characters.
        missing: The error for an empty field; empty if the field is optional.
    """

    def check(value: object) -> str:
        if value is None or value == "":
            if missing:
                raise ValueError(missing)
            return ""
        if not isinstance(value, str):
            raise ValueError(f"Write the {noun} as text, not as {_kind(value)}")
        value = with_line_breaks(value)
        if unusable := unusable_character(value):
            raise ValueError(f"Remove the {unusable} of the {noun}")
        length = len(value.strip())
        if length > most:
            raise ValueError(f"Shorten the {noun} to {most:,} characters or fewer. Now it has {length:,}")
        # A field of white space counts as empty.
        return value.strip() or check("")

    return check


_MARKDOWN_LINK = re.compile(r"\[[^\[\]\n]{1,200}\]\([^()\s]{1,500}\)")


def plain_text(noun: str, most: int, missing: str = "") -> Callable[[object], str]:
    """Return a check for text as `text` does. It refuses Markdown links, which only a letter can have."""
    check_text = text(noun, most, missing)

    def check(value: object) -> str:
        plain = check_text(value)
        if link := _MARKDOWN_LINK.search(plain):
            raise ValueError(f"Write only the words or the address in the {noun}, without Markdown: {quoted(link[0])}")
        return plain

    return check


def _kind(value: object) -> str:
    return "a list" if isinstance(value, list) else "keys" if isinstance(value, dict) else quoted(value)


_slug_text = text("slug", SLUG_LENGTH, "Enter a name for the page’s URL, such as save-the-park")


def slug(value: object) -> str:
    """Check a slug, which is the campaign's name in URLs."""
    slug = _slug_text(value)
    if not re.fullmatch(SLUG, slug):
        raise ValueError(f"Use only lowercase letters a to z, digits, and single hyphens, not {quoted(slug)}")
    return slug


_letter_text = text("letter", LETTER_LENGTH, "Write the letter")


def letter(value: object) -> str:
    """Check a letter, in Markdown."""
    letter = _letter_text(value)
    letter_checks.check(letter)
    return letter


_all_addressees, _addressee = text("list of addressees", 1000), text("name of each addressee", 200)


def addressees(value: object) -> str:
    """Check who the letter is addressed to: text with a name in each line, or a list of such texts. It may be empty."""
    names = value if isinstance(value, list) else [value]
    if len(names) > MOST_ADDRESSEES:
        raise ValueError(f"Enter {MOST_ADDRESSEES:,} addressees or fewer. Now there are {len(names):,}")
    lines = [line for name in names for line in _all_addressees(name).split("\n") if line.strip()]
    return "\n".join(_addressee(line) for line in lines)


# Digits in groups, as people write long numbers: 10,000 or 10_000 or 10 000, but not 10.000, which may be a fraction.
_GROUPED = re.compile(r"\d{1,3}(?:[,_’'\u00a0\u202f ]\d{3})+|\d+")
_DIGITS = 15
"""The most digits of a number. Python converts long numbers in quadratic time."""


def number(noun: str, least: int, default: int | None = None) -> Callable[[object], int]:
    """Return a check for a whole number. Without a default, the number is required."""

    def check(value: object) -> int:
        value = value.strip() if isinstance(value, str) else value
        if value is None or value == "":
            if default is not None:
                return default
            raise ValueError(f"Enter the {noun}, such as 1000")
        if isinstance(value, str) and len(value) <= 2 * _DIGITS and _GROUPED.fullmatch(value):
            value = int("".join(re.findall(r"\d", value))[: _DIGITS + 1])
        if not isinstance(value, int) or isinstance(value, bool):
            shown = quoted(value) if isinstance(value, str) else _kind(value)
            raise ValueError(f"Enter the {noun} as a whole number in digits, such as 1000, not {shown}")
        if not least <= value <= MOST_SIGNATURES:
            raise ValueError(f"Enter a {noun} from {least} to {MOST_SIGNATURES:,}, not {quoted(value)}")
        return value

    return check


_url_text = text("URL", 500)


def url(value: object) -> str:
    """Check a web address, and complete it if its scheme is missing. It may be empty."""
    typed = _url_text(value)
    return _url_text(urls.completed(typed)) if typed else ""


_language_text = text("language", 20)


def language(value: object) -> str:
    """Check a language tag (BCP 47). The default is English."""
    language = _language_text(value) or "en"
    try:
        Locale.parse(language, sep="-")
    except (ValueError, UnknownLocaleError):
        raise ValueError(f"Enter a language tag such as en, de, or pt-BR, not {quoted(language)}") from None
    return language


# ISO 8601, and YAML's timestamps, which allow spaces and single digits. Without a zone, the time is unclear.
_TIME = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)(?:[Tt]|[ \t]+)(\d\d?):(\d\d)(?::(\d\d)(?:\.(\d{0,6})\d*)?)?[ \t]*"
    r"(?:([Zz])|([+-])(\d\d?)(?::?(\d\d))?)",
    re.ASCII,
)


def time(value: object) -> datetime | None:
    """Check a time: a timezone-aware datetime, or text with date, time, and UTC offset. It may be empty."""
    if value is None or value == "":
        return None
    found = _written_time(value) if isinstance(value, str) else value
    if not isinstance(found, datetime) or found.tzinfo is None:
        shown = quoted(value) if isinstance(value, str) else _kind(value)
        raise ValueError(f"Enter date, time, and UTC offset, like 2027-03-01T09:00:00Z, not {shown}")
    if not 2000 <= found.year < 3000:
        raise ValueError(f"Enter a time in a year from 2000 to 2999, not {found.year}")
    return found.astimezone(UTC)


def _written_time(written: str) -> datetime | None:
    match = _TIME.fullmatch(written.strip()) if len(written) < 100 else None
    if not match:
        return None
    year, month, day, hour, minute, second, fraction, utc, sign, hours, minutes = match.groups()
    zone = "+00:00" if utc else f"{sign}{hours:0>2}:{minutes or '00'}"
    moment = f"{hour:0>2}:{minute}:{second or '00'}.{fraction or '':0<6}"
    try:
        return datetime.fromisoformat(f"{year}-{month:0>2}-{day:0>2}T{moment}{zone}")
    except ValueError:
        # For example, a 13th month.
        return None


_zone_text = text("time zone", 64)


def zone(value: object) -> str:
    """Check the name of a time zone. The default is UTC."""
    zone = _zone_text(value) or "UTC"
    if zone not in time_zones.names():
        raise ValueError(f"Enter a time zone such as Europe/Berlin or UTC, not {quoted(zone)}")
    return zone


def picture(value: object) -> Prepared | None:
    """Prepare a picture from the bytes of its file; a prepared one is returned unchanged."""
    return prepare(value) if isinstance(value, bytes) else value if isinstance(value, Prepared) else None


_ANSWERS = dict.fromkeys(("yes", "true", "on"), True) | dict.fromkeys(("no", "false", "off", ""), False)


def yes_or_no(value: object) -> bool:
    """Check a boolean, or text that says yes or no. The default is no."""
    return bool(yes_no_or_neither(value))


def yes_no_or_neither(value: object) -> bool | None:
    """Check a boolean, or text that says yes or no; None if there is no value."""
    answer = _ANSWERS.get(value.strip().lower()) if isinstance(value, str) and len(value) < 20 else value
    if not isinstance(answer, bool | None) or (answer is None and value is not None):
        shown = quoted(value) if isinstance(value, str) else _kind(value)
        raise ValueError(f"Answer yes or no, not {shown}")
    return answer
