"""Countries, states, and from a US ZIP code to its city. Nothing here asks the network."""

import os
import re
import subprocess
import sys
import unicodedata
from bisect import bisect_left
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Lock
from typing import NamedTuple

from babel import Locale

# In CLDR's list of territories, but no country: exceptional reservations, groupings and test codes of ISO 3166-1,
# and "unknown". Kosovo (XK) has no ISO code yet and stays, for people live there and sign.
_NO_COUNTRY = {"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"}

# USPS Publication 28, appendix B: states, territories, freely associated states and armed forces.
US_STATES = {
    "AL": "Alabama",
    "AK": "Alaska",
    "AZ": "Arizona",
    "AR": "Arkansas",
    "CA": "California",
    "CO": "Colorado",
    "CT": "Connecticut",
    "DE": "Delaware",
    "DC": "District of Columbia",
    "FL": "Florida",
    "GA": "Georgia",
    "HI": "Hawaii",
    "ID": "Idaho",
    "IL": "Illinois",
    "IN": "Indiana",
    "IA": "Iowa",
    "KS": "Kansas",
    "KY": "Kentucky",
    "LA": "Louisiana",
    "ME": "Maine",
    "MD": "Maryland",
    "MA": "Massachusetts",
    "MI": "Michigan",
    "MN": "Minnesota",
    "MS": "Mississippi",
    "MO": "Missouri",
    "MT": "Montana",
    "NE": "Nebraska",
    "NV": "Nevada",
    "NH": "New Hampshire",
    "NJ": "New Jersey",
    "NM": "New Mexico",
    "NY": "New York",
    "NC": "North Carolina",
    "ND": "North Dakota",
    "OH": "Ohio",
    "OK": "Oklahoma",
    "OR": "Oregon",
    "PA": "Pennsylvania",
    "RI": "Rhode Island",
    "SC": "South Carolina",
    "SD": "South Dakota",
    "TN": "Tennessee",
    "TX": "Texas",
    "UT": "Utah",
    "VT": "Vermont",
    "VA": "Virginia",
    "WA": "Washington",
    "WV": "West Virginia",
    "WI": "Wisconsin",
    "WY": "Wyoming",
    "AS": "American Samoa",
    "GU": "Guam",
    "MP": "Northern Mariana Islands",
    "PR": "Puerto Rico",
    "VI": "Virgin Islands",
    "FM": "Federated States of Micronesia",
    "MH": "Marshall Islands",
    "PW": "Palau",
    "AA": "Armed Forces Americas",
    "AE": "Armed Forces Europe",
    "AP": "Armed Forces Pacific",
}
"""Names by code, as a signature's region has them."""
_US_STATE_NAMES = {name.casefold(): name for name in US_STATES.values()}


class Place(NamedTuple):
    """A city and its state or region, as they are shown."""

    city: str
    region: str


@lru_cache(maxsize=32)
def countries(language: str) -> dict[str, str]:
    """Names by ISO 3166-1 alpha-2 code, in the language (BCP 47 tag), sorted without accents (CLDR's names)."""
    names = Locale.parse(language, sep="-").territories
    codes = (str(code) for code in Locale.parse("en").territories if re.fullmatch("[A-Z]{2}", str(code)))
    found = ((code, str(names.get(code, code))) for code in codes if code not in _NO_COUNTRY)
    return dict(sorted(found, key=lambda pair: _without_accents(pair[1])))


def _without_accents(name: str) -> str:
    """What to sort by: Åland and Österreich belong near A and O, not after Z."""
    return "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c)).casefold()


def region_name(country: str, region: str) -> str:
    """The region as it is shown: a US state's code or name as the state's full name, all else as typed."""
    if country != "US":
        return region
    return US_STATES.get(region.replace(".", "").upper()) or _US_STATE_NAMES.get(region.casefold(), region)


def place_of(country: str, postal_code: str) -> Place | None:
    """The city and state of a US ZIP or ZIP+4 code; None for other countries and for codes that are not in use."""
    if country != "US" or not re.fullmatch(r"\d{5}(-\d{4})?", postal_code, re.ASCII):
        return None
    code, lines = f"{postal_code[:5]}\t", load()
    line = lines[bisect_left(lines, code) % len(lines)]
    if not line.startswith(code):
        return None
    _, city, state = line.split("\t")
    return Place(city, region_name("US", state))


_loading = Lock()
_us_places: list[str] = []


def load(folder: Path | None = None) -> list[str]:
    """A line for each US ZIP code, in order: code, city and state, between tabs.

    Making them takes a second; in `folder`, if it is given, they are kept for the next start.
    """
    with _loading:
        if not _us_places:
            _us_places.extend(_kept_in(folder) if folder else _listed())
    return _us_places


def _kept_in(folder: Path) -> list[str]:
    file = folder / f"us-places-{version('zipcodes')}.tsv"
    with suppress(OSError):
        if lines := file.read_text(encoding="utf-8").splitlines():
            return lines
    lines = _listed()
    # Where it can't be written, it is made anew at the next start. The folder is not there yet, where all that would be
    # kept in it is set.
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=folder, encoding="utf-8") as aside:
            aside.write("\n".join(lines))
            aside.flush()
            # Under its name only when it is whole: others may start at the same time.
            file.unlink(missing_ok=True)
            os.link(aside.name, file)
    return lines


def _listed() -> list[str]:
    # By a process of its own: in ours, the package would hold 40 MB for what is 6 MB as lines.
    list_all = "import zipcodes\nfor z in zipcodes.list_all(): print(z['zip_code'], z['city'], z['state'], sep='\\t')"
    done = subprocess.run([sys.executable, "-c", list_all], check=True, capture_output=True, encoding="utf-8")  # noqa: S603
    return sorted(done.stdout.splitlines())
