"""US states, and the city and state of a US ZIP code. All data is local; no network is used."""

import os
import re
import subprocess
import sys
from bisect import bisect_left
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Lock
from typing import NamedTuple

from campaign.models.columns import PLACE_LENGTH, POSTAL_CODE_LENGTH
from campaign.signatures import city_names
from campaign.text import folding
from campaign.text.bounded_text import MOST_TYPED, RefusedTextError, normalized

# USPS Publication 28, appendix B: states, territories, freely associated states, and armed forces.
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
"""State names by USPS code. A signature's region holds the name."""
_US_STATE_NAMES = {folding.code(name, PLACE_LENGTH): name for name in US_STATES.values()}
"""State names by their letters, without spaces and in lowercase."""


class Place(NamedTuple):
    """A city and its state or region, as displayed."""

    city: str
    region: str


def region_name(country: str, region: str) -> str:
    """Return the region as displayed: the full name of a US state; any other region as typed."""
    if country != "US":
        return region
    with suppress(RefusedTextError):
        code = folding.code(region, PLACE_LENGTH)
        return US_STATES.get(code.upper()) or _US_STATE_NAMES.get(code, region)
    return region


ZIP_COUNTRIES = {"US", "PR", "GU", "VI", "AS", "MP", "FM", "MH", "PW"}
"""Countries with US ZIP codes. Except for US itself, the country's code is also the code of its state in US_STATES."""
_ZIP_CODE = re.compile(r"\d{5}(\d{4})?", re.ASCII)
_BETWEEN_DIGITS = re.compile(r"[\s-]")
_DASHES = re.compile(r"\s*[\u2010-\u2015\u2212\ufe58\ufe63\uff0d-]\s*")


def postal_code(typed: str, country: str = "") -> str:
    """Return a postal code in ordinary letters, digits, and hyphens, and a ZIP code as the post office writes it.

    Args:
        typed: The postal code as typed. If it is longer than any postal code, it is returned unchanged.
        country: ISO 3166-1 alpha-2. Without it, a ZIP code keeps the signer's spelling.
    """
    if country in ZIP_COUNTRIES and (zip_code := _zip_code(typed)):
        return zip_code
    if typed.isascii():
        return typed
    try:
        plain = folding.ascii_digits(normalized(typed, MOST_TYPED * POSTAL_CODE_LENGTH, "NFKC"))
    except RefusedTextError:
        return typed
    return _DASHES.sub("-", plain)


def _zip_code(typed: str) -> str:
    """Return a typed ZIP or ZIP+4 code as 90012 or 90012-1234; an empty string if it is neither."""
    # Spaces and hyphens may be anywhere in it, and a period or comma at its end.
    digits = _BETWEEN_DIGITS.sub("", postal_code(typed).rstrip(".,"))
    if not _ZIP_CODE.fullmatch(digits):
        return ""
    return f"{digits[:5]}-{digits[5:]}" if digits[5:] else digits


def place_of(country: str, postal_code: str) -> Place | None:
    """Return the city and state of a ZIP or ZIP+4 code, or None if the code is unknown or of another country.

    In a territory that has a country code of its own, such as Puerto Rico, the state is empty.
    """
    if country not in ZIP_COUNTRIES or not (zip_code := _zip_code(postal_code)):
        return None
    code, lines = f"{zip_code[:5]}\t", load()
    line = lines[bisect_left(lines, code) % len(lines)]
    if not line.startswith(code):
        return None
    _, city, state = line.split("\t")
    if country not in ("US", state):
        return None
    return Place(city_names.spelled(city, state), US_STATES[state] if country == "US" else "")


def places_of(postal_code: str) -> set[Place | None]:
    """Return what `place_of` returns for a postal code in any country."""
    if not place_of("US", postal_code):
        return set()
    return {place_of(country, postal_code) for country in ZIP_COUNTRIES} - {None}


_loading = Lock()
_us_places: list[str] = []


def load(folder: Path | None = None) -> list[str]:
    """Return one line per US ZIP code, sorted: code, city, and state, separated by tabs.

    Generating the lines takes a second. If `folder` is given, they are cached there for the next start.
    """
    with _loading:
        if not _us_places:
            _us_places.extend(_load_cached(folder) if folder else _generate())
    return _us_places


def _load_cached(folder: Path) -> list[str]:
    file = folder / f"us-places-{version('zipcodes')}.tsv"
    with suppress(OSError):
        if lines := file.read_text(encoding="utf-8").splitlines():
            return lines
    lines = _generate()
    # If the cache can't be written, the next start generates the lines again. The instance folder may not exist yet: a
    # site with DATABASE_URL and SECRET_KEY set has stored nothing in it.
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=folder, encoding="utf-8") as temporary:
            temporary.write("\n".join(lines))
            temporary.flush()
            # Link the file to its name only when it is complete: other processes may start at the same time.
            file.unlink(missing_ok=True)
            os.link(temporary.name, file)
    return lines


def _generate() -> list[str]:
    # In a separate process: the package would keep 40 MB in memory, and the lines take only 6 MB.
    list_all = "import zipcodes\nfor z in zipcodes.list_all(): print(z['zip_code'], z['city'], z['state'], sep='\\t')"
    done = subprocess.run([sys.executable, "-c", list_all], check=True, capture_output=True, encoding="utf-8")  # noqa: S603
    return sorted(done.stdout.splitlines())
