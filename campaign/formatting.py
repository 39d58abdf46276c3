"""Numbers and times as a reader of the campaign's language writes them, as filters for templates (CLDR, by Babel)."""

from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_datetime, format_timedelta
from babel.numbers import format_decimal
from flask import Flask


def init_app(app: Flask) -> None:
    """Give them to the templates."""
    for function in (ago, number, moment, day, direction):
        app.add_template_filter(function)


def ago(then: datetime, now: datetime, language: str) -> str:
    """How long ago: "5 minutes ago"."""
    # A clock that is behind another machine's must not say "in 2 seconds".
    return _seconds_ago(max(1, round((now - then).total_seconds())), language)


@lru_cache(maxsize=4096)
def _seconds_ago(seconds: int, language: str) -> str:
    return format_timedelta(timedelta(seconds=-seconds), add_direction=True, locale=_locale(language))


def number(value: int, language: str) -> str:
    """A number with its thousands set apart."""
    return format_decimal(value, locale=_locale(language))


def moment(value: datetime, language: str, zone: str = "UTC") -> str:
    """A date and a time in that zone (IANA name), and which it is: "1 March 2027, 09:00 UTC"."""
    there, locale = value.astimezone(ZoneInfo(zone)), _locale(language)
    # "GMT+01:00". Of the short form, a single O, Babel makes the word "None".
    return format_datetime(there, "d MMMM y, HH:mm 'UTC'" if zone == "UTC" else "d MMMM y, HH:mm OOOO", locale=locale)


def day(value: datetime, language: str, zone: str = "UTC") -> str:
    """A date in that zone: "3 May 2026"."""
    return format_datetime(value.astimezone(ZoneInfo(zone)), "d MMMM y", locale=_locale(language))


def direction(language: str) -> str:
    """Which way the language is written: ltr or rtl."""
    return _locale(language).text_direction


def _locale(language: str) -> Locale:
    return Locale.parse(language, sep="-")
