"""The codes of all countries that people can choose on the sign form, and that a site can be in."""

import re
from functools import cache

from babel import Locale

# CLDR territories that aren't countries: exceptional reservations, groupings, and test codes of ISO 3166-1, and
# "unknown". Kosovo (XK) has no ISO code yet, but is kept, because people who live there sign.
_NOT_COUNTRIES = {"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"}


@cache
def all_codes() -> frozenset[str]:
    """Return the ISO 3166-1 alpha-2 code of every country that CLDR knows."""
    codes = {str(code) for code in Locale("en").territories if re.fullmatch("[A-Z]{2}", str(code))}
    return frozenset(codes - _NOT_COUNTRIES)
