"""Template filters that format numbers, dates, and times in a language, with CLDR's patterns (data from Babel).

The language is a tag (BCP 47), or "" for the language of the page.

CLDR sets the order of day, month, and year, the punctuation, and whether a clock has 12 or 24 hours. Where such text
stands among text of another language, mark it with `lang` and `dir`, or pass it through `isolated`.
"""

import math
import re
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_time, format_timedelta, get_timezone_gmt
from babel.numbers import format_decimal
from flask import Flask

from campaign.languages import locales
from campaign.languages.speaking import current
from campaign.text.paragraphs import one_line, paragraphs

_ISOLATE, _END_ISOLATE = "\u2068", "\u2069"
"""First-strong isolate and its end (Unicode Standard Annex 9). They have the effect of HTML's `<bdi>`."""
# The blocks of right-to-left scripts in Unicode's Bidi_Class defaults (DerivedBidiClass.txt).
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefe\U00010800-\U00010fff\U0001e800-\U0001efff]")
_ZONE_FIELD = "\ue000"
"""A private character that marks the place of the time zone in a pattern."""


def init_app(app: Flask) -> None:
    """Register the filters."""
    for function in (ago, in_a_while, number, moment, short_moment, day, clock, isolated):
        app.add_template_filter(function)
    app.add_template_filter(paragraphs)
    app.add_template_filter(one_line)


def ago(then: datetime, now: datetime, language: str = "") -> str:
    """Return how long ago a time was, such as "5 minutes ago"."""
    # Clocks of several machines differ. A time from a faster clock must not become "in 2 seconds".
    return _seconds_ago(max(1, round((now - then).total_seconds())), language or current().tag)


@lru_cache(maxsize=4096)
def _seconds_ago(seconds: int, language: str) -> str:
    return format_timedelta(timedelta(seconds=-seconds), add_direction=True, locale=_locale(language))


def in_a_while(seconds: int, language: str = "") -> str:
    """Return when something happens, such as "in 20 seconds" or "in 2 minutes"."""
    # From 100 seconds, in minutes, rounded up.
    if seconds >= 100:
        seconds = math.ceil(seconds / 60) * 60
    return format_timedelta(timedelta(seconds=seconds), add_direction=True, threshold=1.67, locale=_locale(language))


def number(value: int, language: str = "") -> str:
    """Return a number with thousands separators."""
    return _number(value, language or current().tag)


# Cached, because a list shows a hundred.
@lru_cache(maxsize=4096)
def _number(value: int, language: str) -> str:
    return format_decimal(value, locale=_locale(language))


def moment(value: datetime, language: str = "", zone: str = "UTC") -> str:
    """Return a time in an IANA time zone as long date, time, and UTC offset.

    For example, "March 1, 2027, 10:00 AM GMT+01:00" in English, and "2027年3月1日 10:00 GMT+01:00" in Japanese.
    """
    return _moment(value, language or current().tag, zone)


# Cached, because the activity log shows many.
@lru_cache(maxsize=4096)
def _moment(value: datetime, language: str, zone: str) -> str:
    there, locale = value.astimezone(ZoneInfo(zone)), _locale(language)
    offset = "UTC" if zone == "UTC" else get_timezone_gmt(there, "long", locale)
    if locale.text_direction == "rtl":
        offset = f"{_ISOLATE}{offset}{_END_ISOLATE}"
    time = format_time(there, _time_pattern(language), locale=locale).replace(_ZONE_FIELD, offset)
    return _joined(format_date(there, "long", locale=locale), time, "long", locale)


def short_moment(value: datetime, language: str = "", zone: str | None = None) -> str:
    """Return date and time for a table or chart, such as "Mar 1, 2027, 10:00 AM", in `zone` or the value's own zone."""
    there = value.astimezone(ZoneInfo(zone)) if zone else value
    return _short_moment(there.replace(second=0, microsecond=0, tzinfo=None), language or current().tag)


# Cached, because a table shows fifty, and CLDR's patterns take a twentieth of a millisecond each.
@lru_cache(maxsize=4096)
def _short_moment(there: datetime, language: str) -> str:
    locale = _locale(language)
    time = format_time(there, "short", locale=locale)
    return _joined(format_date(there, "medium", locale=locale), time, "medium", locale)


def day(value: datetime, language: str = "", zone: str = "UTC") -> str:
    """Return the date in a time zone, such as "May 3, 2026"."""
    return format_date(value.astimezone(ZoneInfo(zone)), "long", locale=_locale(language))


# Cache it, because the desk shows a thousand days in one table.
@lru_cache(maxsize=4096)
def short_day(value: date, language: str, *, year: bool = True) -> str:
    """Return a date for a table or chart, such as "May 3, 2026", or "May 3" if not `year`."""
    locale = _locale(language)
    if year:
        return format_date(value, "medium", locale=locale)
    return format_date(value, locale.datetime_skeletons["MMMd"].pattern, locale=locale)


def clock(value: datetime, language: str = "", zone: str | None = None, *, seconds: bool = False) -> str:
    """Return the time of day, such as "2:30 PM", in `zone` or in the value's own zone."""
    there = value.astimezone(ZoneInfo(zone)) if zone else value
    return format_time(there, "medium" if seconds else "short", locale=_locale(language))


def isolated(text: str) -> str:
    """Return text for a place without markup, such as a page's title, so that it doesn't reorder the text around it.

    Text with right-to-left characters is put between Unicode isolates. Other text is returned unchanged.
    """
    return f"{_ISOLATE}{text}{_END_ISOLATE}" if _RIGHT_TO_LEFT.search(text) else text


@lru_cache(maxsize=64)
def _time_pattern(language: str) -> str:
    """Return CLDR's pattern for hour, minute, and zone, with the clock of the language's short times."""
    locale = _locale(language)
    has_12_hours = re.search("[hK]", _without_quoted(locale.time_formats["short"].pattern))
    pattern = locale.datetime_skeletons["hmv" if has_12_hours else "Hmv"].pattern
    # Babel's own names of zones depend on the language: some are a city, and some an abbreviation that few people know.
    return re.sub(r"v+(?=[^']*(?:'[^']*'[^']*)*$)", f"'{_ZONE_FIELD}'", pattern)


def _without_quoted(pattern: str) -> str:
    return re.sub("'[^']*'", "", pattern)


def _joined(day: str, time: str, width: str, locale: Locale) -> str:
    return str(locale.datetime_formats[width]).replace("'", "").replace("{0}", time).replace("{1}", day)


def _locale(language: str) -> Locale:
    return locales.locale(language or current().tag)
