"""The names of countries in every language, in the order in which readers of that language look for them.

The names come from CLDR through Babel, and so does the order, by CLDR's collation. In Czech, for example, "Chorvatsko"
comes after "Honduras", and in Swedish "Åland" after "Zimbabwe". Babel has no collation. So script/sort_countries.py
sorts the countries of every language with ICU, and this module reads the result from country_order.txt.
"""

import re
import sys
from functools import lru_cache
from pathlib import Path

from babel import Locale

from campaign.languages import locales
from campaign.text import country_codes

ORDER = Path(__file__).with_name("country_order.txt")
"""After a line that names the versions of Babel and ICU, each line has languages, a tab, and their countries in order.
Languages are separated by spaces. Each country has two letters, and there is nothing between them."""


@lru_cache(maxsize=32)
def countries(language: str) -> dict[str, str]:
    """Return CLDR's country names in a language (BCP 47 tag) by ISO 3166-1 alpha-2 code, sorted as its readers expect.

    A name that CLDR lacks is in English.
    """
    locale = locales.locale(language)
    names = unsorted(locale)
    order = _order(str(locale).partition("@")[0]) or _order("en")
    # After an update of Babel, a country may be missing from the file.
    return {code: names.pop(code) for code in order if code in names} | names


def unsorted(locale: Locale) -> dict[str, str]:
    """Return the country names by code, in no particular order."""
    english, names = locales.locale("en").territories, locale.territories
    return {code: str(names.get(code) or english[code]) for code in country_codes.all_codes()}


def _order(locale: str) -> list[str]:
    """Return the codes of all countries in the order of a Babel locale; an empty list if there is no such locale."""
    # Read the file again for each language rather than keep it in memory: a site needs a few of its 1,082 languages.
    with ORDER.open(encoding="utf-8") as lines:
        for line in lines:
            languages, _, codes = line.rstrip("\n").partition("\t")
            if locale in languages.split(" "):
                # Interned codes exist once for all languages.
                return [sys.intern(code) for code in re.findall("..", codes)]
    return []
