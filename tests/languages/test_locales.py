"""Trimmed locales: pages show what Babel's whole data would show, and no page keeps the rest in memory."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Literal

import pytest
from babel import Locale, UnknownLocaleError, localedata
from babel.dates import TIMEDELTA_UNITS, format_date, format_time, format_timedelta, get_timezone_gmt
from babel.numbers import format_decimal
from babel.units import UnknownUnitError, format_unit
from flask.testing import FlaskClient

from campaign.languages import catalogs, locales, speaking
from campaign.signatures.countries import countries
from campaign.text import country_codes
from tests.conftest import PATH, Publish, only_sqlite

OTHERS = ("de-AT", "en-GB", "es-MX", "pt-PT", "zh-TW", "nb", "nn", "sr-Latn", "ca-ES-valencia", "eo")
"""Languages without a catalog of their own, many of which inherit from others."""
WIDTHS: tuple[Literal["narrow", "short", "long"], ...] = ("narrow", "short", "long")
CACHES = (locales.locale, locales._trim, speaking.page_language, countries)

Forget = Callable[[], None]


@pytest.fixture
def forget(monkeypatch: pytest.MonkeyPatch) -> Iterator[Forget]:
    """Return a function that makes Babel and the site forget all locales."""

    def without_any_locale() -> None:
        monkeypatch.setattr(localedata, "_cache", {})
        for cached in CACHES:
            cached.cache_clear()

    yield without_any_locale
    without_any_locale()


@cache
def all_locales() -> list[Locale]:
    return [Locale.parse(name) for name in localedata.locale_identifiers()]


def shown(locale: Locale) -> dict[str, object]:
    """Return texts of a locale."""
    at = datetime(2027, 3, 1, 17, 5, 7, tzinfo=UTC)
    periods = [timedelta(seconds=seconds * number) for _, seconds in TIMEDELTA_UNITS for number in (1, 2, -5)]
    return {
        "direction": locale.text_direction,
        "numbers": [format_decimal(number, locale=locale) for number in (0, 1234, -1_234_567)],
        "dates": [format_date(at, width, locale=locale) for width in ("short", "medium", "long", "full")],
        "times": [format_time(at, width, locale=locale) for width in ("short", "medium")],
        "joined": [str(pattern) for pattern in locale.datetime_formats.values()],
        "skeletons": [(name, locale.datetime_skeletons[name].pattern) for name in locale.datetime_skeletons],
        "interval": str(locale.interval_formats[None]),
        "offset": get_timezone_gmt(at, "long", locale),
        # Babel has no complete data for narrow and short periods with a direction.
        "periods": [format_timedelta(period, add_direction=True, locale=locale) for period in periods],
        "lengths": [format_timedelta(period, format=width, locale=locale) for period in periods for width in WIDTHS],
        "territories": [locale.territories.get(code) for code in sorted(country_codes.all_codes())],
        "names": [other.get_display_name(locale) for other in all_locales()],
    }


@pytest.mark.parametrize("tag", [*catalogs.tags(), *OTHERS])
@pytest.mark.slow
def test_trimmed_locale_shows_the_same_texts(tag: str, forget: Forget) -> None:
    forget()
    expected = shown(Locale.parse(tag, sep="-"))
    forget()
    trimmed = shown(locales.locale(tag))
    assert trimmed == expected


def test_data_read_before_trimming_shows_the_same_texts(forget: Forget) -> None:
    forget()
    expected = shown(Locale.parse("pt-BR", sep="-"))
    assert shown(locales.locale("pt-BR")) == expected


@only_sqlite
def test_pages_keep_only_trimmed_data_in_memory(client: FlaskClient, publish: Publish, forget: Forget) -> None:
    publish(language="es-MX")
    forget()
    for path, tag in ((PATH, ""), ("/campaigns", "pt-BR"), ("/privacy", "zh-Hant")):
        assert client.get(path, headers={"Accept-Language": tag}).status_code == 200
    assert {"root", "en", "es", "es_419", "es_MX", "pt", "pt_BR", "zh_Hant"} <= localedata._cache.keys()
    assert [name for name, data in localedata._cache.items() if data.keys() & set(locales._UNUSED)] == []


def test_use_of_removed_data_is_an_error() -> None:
    german = locales.locale("de")
    for part in ("currencies", "time_zones", "meta_zones", "compact_decimal_formats"):
        with pytest.raises(KeyError):
            getattr(german, part)
    with pytest.raises(UnknownUnitError):
        format_unit(3, "length-meter", locale=german)


def test_unknown_language_has_no_locale() -> None:
    with pytest.raises(UnknownLocaleError):
        locales.locale("xx")
    with pytest.raises(ValueError, match="expected only letters"):
        locales.locale("not a tag")
