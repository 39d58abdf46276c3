"""Cursors for pages of signatures, newest first; used in URLs and forms."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def after(at: datetime, signature_id: int) -> str:
    """Return the cursor after a signature: its time in microseconds since 1970 and its id, as 1764000000000000-17."""
    return f"{(at - _EPOCH) // timedelta(microseconds=1)}-{signature_id}"


def position(cursor: str) -> tuple[datetime, int]:
    """Return the time and id of a cursor.

    Raises:
        ValueError: The text isn't a cursor.
    """
    micros, _, signature_id = cursor.partition("-")
    # 18 digits fit into a 64-bit integer. `isdigit` alone would also accept digits of other scripts.
    if not all(part.isascii() and part.isdigit() and len(part) <= 18 for part in (micros, signature_id)):
        raise ValueError(f"{cursor!r} is not a cursor")
    try:
        return _EPOCH + timedelta(microseconds=int(micros)), int(signature_id)
    except OverflowError:
        raise ValueError(f"{cursor!r} is not a cursor") from None
