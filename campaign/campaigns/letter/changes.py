"""Changes to a letter that has signatures. Each change is stored with its reason and shown to the public.

editing.py records changes, site/views.py shows them, and comparison.py finds the differences.
"""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from campaign.campaigns.letter.comparison import Comparer, Piece
from campaign.models.campaign import LetterChange
from campaign.models.signature import Signature
from campaign.storage import replica


def has_signatures(session: Session, campaign_id: int) -> bool:
    """Return whether the campaign has any signatures, including removed ones."""
    return bool(session.scalar(select(exists().where(Signature.campaign_id == campaign_id))))


def all_changes(campaign_id: int, tag: str) -> list[LetterChange]:
    """Return the changes to the campaign's letter in a language for the public, newest first.

    Args:
        campaign_id: The campaign.
        tag: The tag of a translation; empty for the main language.
    """
    of_letter = LetterChange.campaign_id == campaign_id, LetterChange.language == tag
    newest_first = select(LetterChange).where(*of_letter).order_by(LetterChange.id.desc())
    return replica.read(lambda session: list(session.scalars(newest_first)))


class Compared(NamedTuple):
    """Two versions of a signed text, and their differences."""

    before: str
    after: str
    pieces: tuple[Piece, ...]


def compare(before: str, after: str) -> Compared:
    """Compare two versions of a signed text. Call this before a write transaction, not within one."""
    return Compared(before, after, Comparer().difference(before, after))


def record(session: Session, change: LetterChange, before: str, after: str, compared: Compared | None) -> None:
    """Record a public change from one signed text to another, in the caller's write transaction.

    The comparison is stored only if `compared` is about these two texts. If another editor has changed the campaign
    since, it is about other texts. The public page then compares the two texts each time it is rendered.
    """
    change.before, change.after = before, after
    if compared and (compared.before, compared.after) == (before, after):
        change.pieces = [list(piece) for piece in compared.pieces]
    session.add(change)


def with_comparison(changes: Iterable[LetterChange]) -> list[tuple[LetterChange, tuple[Piece, ...]]]:
    """Return each change with its differences.

    Changes that were stored without a comparison are compared now. Together, they may take as many steps as one
    comparison (comparison.MOST_STEPS).
    """
    comparer = Comparer()
    return [
        (
            change,
            comparer.difference(change.before, change.after)
            if change.pieces is None
            else tuple(Piece(kind, text) for kind, text in change.pieces),
        )
        for change in changes
    ]
