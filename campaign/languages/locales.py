"""Locales: CLDR's names, patterns, and rules for a language, from Babel, without the parts that the site doesn't use.

Babel keeps the data of each locale that it has read: about a megabyte, mostly names of currencies, units, and time
zones. With all languages of the site in use, these would take up 25 MB of each worker's memory. So `locale` removes
them from the data that Babel keeps. If code needs what was removed, Babel raises KeyError or UnknownUnitError. Only
`format_interval` goes on working: it writes out both dates.

Use `locale` rather than `babel.Locale` wherever code reads data. To check a tag, which reads no data, `Locale.parse` is
enough.
"""

from functools import cache, lru_cache

from babel import Locale, localedata
from babel.core import get_global
from babel.dates import TIMEDELTA_UNITS

from campaign.text import country_codes

_UNUSED = (
    "compact_currency_formats",
    "compact_decimal_formats",
    "compound_unit_patterns",
    "currency_names",
    "currency_names_plural",
    "meta_zones",
    "time_zones",
    "unit_display_names",
)
"""The parts of the data that are removed as a whole."""


@lru_cache(maxsize=256)
def locale(tag: str) -> Locale:
    """Return Babel's locale for a language tag (BCP 47).

    It has what Babel needs to format numbers, dates, times, and periods, and to name countries and languages.

    Raises:
        ValueError: `tag` is no language tag.
        UnknownLocaleError: CLDR doesn't know the language.
    """
    found = Locale.parse(tag, sep="-")
    _trim(str(found).partition("@")[0])
    return found


@cache
def _trim(name: str) -> None:
    """Remove what the site doesn't use from the data of a locale, and of those that it inherits from."""
    if name != "root":
        _trim(get_global("parent_exceptions").get(name) or name.rpartition("_")[0] or "root")
    # Babel keeps this dictionary, and returns the same one each time.
    data = localedata.load(name)
    for part in _UNUSED:
        data.pop(part, None)
    for part, used in _used_keys().items():
        entries = data.get(part, {})
        # All languages share the keys.
        data[part] = {key: entries[key] for key in used if key in entries}


@cache
def _used_keys() -> dict[str, tuple[str | None, ...]]:
    """Return the keys that are kept, for each part of which the site uses only some."""
    subtags = {subtag for name in localedata.locale_identifiers() for subtag in name.split("_")}
    nameable, units = tuple(sorted(subtags)), [unit for unit, _ in TIMEDELTA_UNITS]
    return {
        "languages": nameable,
        "scripts": nameable,
        "territories": tuple(sorted(subtags | country_codes.all_codes())),
        "variants": nameable,
        "date_fields": tuple(f"{unit}{width}" for unit in units for width in ("", "-short", "-narrow")),
        # Only the pattern that joins two dates, because the others for `format_interval` are many.
        "interval_formats": (None,),
        "unit_patterns": tuple(f"duration-{unit}" for unit in units),
    }
