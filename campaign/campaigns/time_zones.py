"""Conversion between the local times in the desk's form and timezone-aware times, as in the database and in files."""

from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from campaign.text.sorting import sort_key


@cache
def names() -> tuple[str, ...]:
    """Return the IANA names of time zones, such as Europe/Berlin; UTC first."""
    zones = [zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/")]
    return ("UTC", *sorted(zones, key=sort_key))


def local(instant: datetime, zone: str) -> str:
    """Return a time (timezone-aware) as local time for a `datetime-local` field, such as 2027-03-01T09:00."""
    return instant.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%dT%H:%M")


def instant(typed: str, zone: str, was: datetime | None = None) -> datetime:
    """Return the time that was typed as local time into a `datetime-local` field.

    Args:
        typed: The field's value.
        zone: IANA name of the local time zone.
        was: The time that the field showed before. If the field is unchanged, this is returned, including its seconds.

    Raises:
        ValueError: The value is not a date and time, or a clock change makes that local time missing or ambiguous. The
            message is a sentence that says what to do.
    """
    if was and typed == local(was, zone):
        return was
    try:
        shown = datetime.fromisoformat(typed)
    except ValueError:
        raise ValueError("Enter a date and a time") from None
    if shown.tzinfo is not None:
        raise ValueError("Enter a date and a time without a zone")
    first, second = (shown.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return first
    if first.astimezone(UTC).astimezone(first.tzinfo).replace(tzinfo=None) != shown:
        raise ValueError(f"Choose an hour later. This time doesn’t exist in {zone}, as clocks go forward that night")
    raise ValueError(f"Choose an hour later. This time happens twice in {zone}, as clocks go back that night")
