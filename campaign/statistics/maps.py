"""Tile maps: each country or state is a square of the same size near its true position, darker for more signatures.

The desk's statistics page shows them. A map with outlines would emphasize large countries and hide Malta.
"""

from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil

from campaign.signatures import places
from campaign.signatures.countries import countries

SHADES = 4
"""The number of shades for places with signatures. Each shade has about the same number of places."""

# The layout follows the coordinates in the time zone database's zone.tab (public domain). Each country has its own
# cell, as close to its true position as possible, with extra room where many countries are close together.
_WORLD = """
.. .. .. .. .. .. .. .. .. .. .. .. SJ AX FI .. .. .. .. .. .. .. .. .. ..
.. .. .. .. .. .. .. GL IS FO NL NO DK SE LV EE .. .. .. .. .. .. .. .. ..
.. .. .. CA .. .. .. .. IE IM BE DE CZ SK PL LT BY .. .. RU .. .. .. .. ..
.. .. .. .. .. .. .. .. GG GB FR LU AT HU RS MD UA .. KZ .. MN .. .. .. ..
.. .. .. .. .. .. .. PM .. JE CH LI SI BA BG RO AM GE UZ KG .. .. .. .. ..
.. .. .. US .. .. .. .. PT AD MC SM HR ME XK TR LB AZ TM TJ CN KP KR .. ..
.. .. .. .. BS TC BM .. ES GI DZ VA IT AL MK CY SY IQ IR AF .. .. JP .. ..
.. .. MX CU HT PR VG AI .. EH MA TN LY MT GR IL JO KW AE NP BT TW .. .. ..
.. UM .. KY DO VI SX BL AG MR .. .. .. .. EG PS SA BH PK IN BD HK .. .. ..
.. .. GT BZ JM MF KN GP CV SN ML .. .. .. .. SD ER QA OM MM LA MO MP .. ..
.. .. SV HN AW MS DM MQ LC GM BF NE .. .. .. .. DJ YE .. .. TH PH GU .. ..
.. .. .. NI CW BQ GD VC BB GW TG BJ TD .. .. .. ET .. .. LK KH VN PW .. MH
.. .. .. CR PA VE TT GY GN SL GH NG CM CF .. SS .. SO .. MV MY BN .. FM ..
.. .. .. .. EC CO .. SR GF LR CI GQ GA CG RW UG KE SC .. .. SG ID .. NR KI
WF TK .. .. PE .. .. BR .. .. .. ST AO CD BI TZ KM YT IO .. CX TL PG SB TV
WS AS PF .. .. BO .. .. .. .. SH .. .. .. ZM ZW MW MG .. .. CC .. .. VU FJ
TO NU PN .. .. .. .. PY .. .. .. .. .. NA BW ZA MZ RE MU .. .. .. .. NC ..
.. CK .. .. .. AR .. UY .. .. .. .. .. .. LS SZ .. .. .. .. .. .. AU NF ..
.. .. .. .. CL .. .. FK .. .. .. .. .. .. .. .. .. .. TF .. .. .. .. NZ ..
.. .. .. .. .. .. .. .. GS .. .. BV .. AQ .. .. .. .. HM .. .. .. .. .. ..
"""
# The usual layout of newspapers, with the territories in the last row.
_US = """
AK .. .. .. .. .. .. .. .. .. ME
.. .. .. .. .. .. .. .. .. VT NH
WA ID MT ND MN IL WI MI NY RI MA
OR NV WY SD IA IN OH PA NJ CT ..
CA UT CO NE MO KY WV VA MD DE ..
.. AZ NM KS AR TN NC SC DC .. ..
.. .. .. OK LA MS AL GA .. .. ..
HI .. .. TX .. .. .. .. FL .. ..
GU MP AS .. .. .. .. .. .. PR VI
"""


@dataclass(frozen=True)
class Tile:
    """A country or state on a tile map."""

    code: str
    name: str
    column: int
    row: int
    count: int
    shade: int
    """From 0 (no signatures) to SHADES (the most signatures)."""


@dataclass(frozen=True)
class Map:
    """A tile map."""

    tiles: Sequence[Tile]
    columns: int
    rows: int
    legend: Sequence[tuple[int, int, int]]
    """Each shade on the map, with the lowest and the highest number of signatures that it stands for."""


def world(counts: Mapping[str, int]) -> Map:
    """Return the map of countries with these counts of signatures by ISO 3166-1 alpha-2 code."""
    return _map(_WORLD, countries("en"), counts)


def states(counts: Mapping[str, int]) -> Map:
    """Return the map of US states and territories with these counts of signatures by USPS code."""
    return _map(_US, places.US_STATES, counts)


def _map(layout: str, names: Mapping[str, str], counts: Mapping[str, int]) -> Map:
    cells = _cells(layout)
    signed = sorted(counts[code] for code, _, _ in cells if counts.get(code))
    # Places with the same number of signatures have the same shade.
    shades = {count: ceil(bisect(signed, count) * SHADES / len(signed)) for count in signed}
    tiles = [
        Tile(code, names[code], column, row, counts.get(code, 0), shades.get(counts.get(code, 0), 0))
        for code, column, row in cells
    ]
    by_shade = {shade: [count for count in signed if shades[count] == shade] for shade in sorted(set(shades.values()))}
    legend = [(shade, min(those), max(those)) for shade, those in by_shade.items()]
    return Map(tiles, 1 + max(column for _, column, _ in cells), 1 + max(row for _, _, row in cells), legend)


@cache
def _cells(layout: str) -> Sequence[tuple[str, int, int]]:
    lines = [line.split() for line in layout.split("\n") if line]
    return [(code, column, row) for row, line in enumerate(lines) for column, code in enumerate(line) if code != ".."]
