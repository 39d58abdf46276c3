"""The place in a list of signatures, newest first, where a page ends and the next begins: in an address or a form."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def after(at: datetime, signature_id: int) -> str:
    """The place after the signature of that time and id: microseconds since 1970 and id, as 1764000000000000-17."""
    return f"{(at - _EPOCH) // timedelta(microseconds=1)}-{signature_id}"


def position(cursor: str) -> tuple[datetime, int]:
    """The time and id that a cursor was made of.

    Raises:
        ValueError: it is none.
    """
    micros, _, signature_id = cursor.partition("-")
    # 18 digits fit a 64-bit integer; `isdigit` alone also takes digits of other scripts.
    if not all(part.isascii() and part.isdigit() and len(part) <= 18 for part in (micros, signature_id)):
        raise ValueError(f"{cursor!r} is no cursor")
    try:
        return _EPOCH + timedelta(microseconds=int(micros)), int(signature_id)
    except OverflowError:
        raise ValueError(f"{cursor!r} is no cursor") from None
