"""The entries of the book: which signatures it names, in which order, and in which groups.

By time and without groups, the entries come straight from the database. Any other order is sorted in runs on the disk,
so that a million signatures need no more memory than one run.
"""

import heapq
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Engine, Row

from campaign.deliveries import contents
from campaign.deliveries.contents import Order, Purpose, Snapshot, Sorting
from campaign.languages import speaking
from campaign.languages.speaking import gettext
from campaign.models.campaign import Campaign
from campaign.signatures.countries import countries
from campaign.signatures.places import US_STATES
from campaign.text.sorting import alphabetical_key

RUN = 20_000
"""Entries that are sorted in memory at once: about 30 MB."""
_STATES = frozenset(US_STATES.values())


class Entry(NamedTuple):
    """A signatory, as printed."""

    name: str
    place: str
    groups: tuple[str, ...] = ()
    """The headings above the entry: the country, and the state in the US. Empty without groups."""


Key = list[Any]
"""What an entry is sorted by: a list of numbers and texts, of the same types for all entries."""


def entries(engine: Engine, campaign: Campaign, order: Order, of: Snapshot, folder: Path) -> Iterator[Entry | None]:
    """Yield the entries of the book, and None for each signature that counts, but isn't named.

    Anonymous signers show only their country, unless the campaign delivers their names.

    Args:
        engine: The database.
        campaign: The campaign. Countries are in its language.
        order: Which signatures to name, and how to sort and group them.
        of: The signatures.
        folder: A folder for temporary files. They are deleted when all entries have been read.
    """
    writer = _Writer(campaign, order)
    keyed = (writer.keyed(row) for chunk in contents.signatures(engine, of) for row in chunk)
    if order.sorting is Sorting.TIME and not order.grouped:
        return (entry for _key, entry in keyed)
    return _sorted(keyed, folder)


class _Writer:
    """Makes the entries of one book."""

    def __init__(self, campaign: Campaign, order: Order) -> None:
        self._order, self._language = order, campaign.language
        self._everybody = contents.names_everybody(campaign, Purpose.HAND_OVER)
        self._countries = countries(campaign.language)
        self._positions = {code: position for position, code in enumerate(self._countries)}
        with speaking.use(campaign.language):
            self._anonymous = gettext("Anonymous")

    def keyed(self, row: Row[Any]) -> tuple[Key, Entry | None]:
        """Return the entry of a signature, or None if the book doesn't name it, and what it is sorted by."""
        if row.listed_at is None and not self._order.has_hidden:
            # All other keys begin with a larger number, and nothing after the first difference is compared.
            return [0], None
        named = self._everybody or not row.anonymous
        country = self._countries.get(row.country, row.country)
        region, city = (row.region, row.city) if named else ("", "")
        state = region if row.country == "US" and region in _STATES else ""
        mark = f" ({self._anonymous})" if row.anonymous else ""
        name = row.name + mark if named else self._anonymous
        key: Key = []
        if self._order.grouped:
            key += [1, self._positions.get(row.country, len(self._positions)), alphabetical_key(state, "en")[0]]
        if self._order.sorting is Sorting.NAME:
            # Signers without a name come last.
            key += [1 + (not named), *alphabetical_key(name, self._language)]
        if not self._order.grouped:
            return key, Entry(name, _joined(city, region, country))
        return key, Entry(name, _joined(city, "" if state else region), (country, state) if state else (country,))


def _joined(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def _sorted(keyed: Iterable[tuple[Key, Entry | None]], folder: Path) -> Iterator[Entry | None]:
    """Sort entries on the disk: in runs of RUN, which are then merged. Entries with the same key keep their order."""
    remaining, runs = iter(keyed), list[Path]()
    while run := sorted(islice(remaining, RUN), key=itemgetter(0)):
        runs.append(folder / f"run-{len(runs)}.jsonl")
        with runs[-1].open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(item) + "\n" for item in run)
    for _key, entry in heapq.merge(*map(_read, runs), key=itemgetter(0)):
        yield Entry(entry[0], entry[1], tuple(entry[2])) if entry else None
    for run_file in runs:
        run_file.unlink()


def _read(run: Path) -> Iterator[Any]:
    with run.open(encoding="utf-8") as file:
        yield from map(json.loads, file)
