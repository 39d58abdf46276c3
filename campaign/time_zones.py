"""Wall clocks of the world: what a date and a time mean where a campaign is at home, and how they are shown there.

The desk's form asks it; in tables and files times are instants with a zone.
"""

from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo, available_timezones


@cache
def names() -> tuple[str, ...]:
    """The zones by their IANA names, such as Europe/Berlin; UTC first."""
    return ("UTC", *sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/")))


def local(instant: datetime, zone: str) -> str:
    """What a clock of that zone shows at `instant` (aware), as a date-time field has it: 2027-03-01T09:00."""
    return instant.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%dT%H:%M")


def instant(typed: str, zone: str, was: datetime | None = None) -> datetime:
    """The moment at which a clock of that zone shows what was typed into a date-time field.

    `was` is the moment that the field showed before: where nothing was typed anew it stays, seconds included.

    Raises:
        ValueError: it is no date with a time, or no moment or two, because clocks are changed that night; the message
            goes on after the field's name.
    """
    if was and typed == local(was, zone):
        return was
    try:
        shown = datetime.fromisoformat(typed)
    except ValueError:
        raise ValueError("must be a date and a time") from None
    if shown.tzinfo is not None:
        raise ValueError("must be a date and a time without a zone")
    first, second = (shown.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return first
    if first.astimezone(UTC).astimezone(first.tzinfo).replace(tzinfo=None) != shown:
        raise ValueError(f"names a time that is left out when clocks in {zone} are put forward; choose an hour later")
    raise ValueError(f"names a time that comes twice when clocks in {zone} are put back; choose an hour later")
