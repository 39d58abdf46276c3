"""Comparing texts takes bounded work. A comparison is stored with the change, so that visitors cause no work."""

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from campaign.accounts.audit_log import COMMAND
from campaign.campaigns import editing
from campaign.campaigns.files import writing
from campaign.campaigns.letter import comparison
from campaign.campaigns.letter.comparison import MOST_STEPS, Comparer, Piece
from campaign.campaigns.letter.markdown import LETTER_LENGTH
from campaign.models.account import Role
from campaign.models.campaign import Campaign, LetterChange
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import FILE, PATH, Publish, Sign, only_sqlite
from tests.desk.conftest import AtDeskAs

EDIT = "/desk/campaigns/save-the-park/edit"
MOST_LINES = 10 * MOST_STEPS
"""The most Python lines that a comparison may run. A step takes about five; splitting and joining take a few more."""

NONE = 20
"""Python lines that run when a comparer is created but compares nothing."""


class TooMuchWorkError(Exception):
    """More lines ran than allowed."""


@contextmanager
def at_most(lines: int) -> Iterator[Callable[[], int]]:
    """Count the lines of letter/comparison.py and difflib that run, and raise an error above the limit."""
    run = 0

    def count(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal run
        run += event == "line"
        if run > lines:
            raise TooMuchWorkError
        return count

    def begin(frame: FrameType, event: str, arg: Any) -> Any:
        return count if frame.f_code.co_filename.endswith(("comparison.py", "difflib.py")) else None

    before = sys.gettrace()
    sys.settrace(begin)
    try:
        yield lambda: run
    finally:
        sys.settrace(before)


def lines(*texts: str) -> str:
    return "\n\n".join(texts)


def shuffled(texts: list[str]) -> list[str]:
    return random.Random(1).sample(texts, len(texts))  # noqa: S311


def drawn(most: int, of: str) -> list[str]:
    return random.Random(of).choices(of, k=most)  # noqa: S311


NUMBERED = [f"a{number}" for number in range(990)]
HOSTILE = {
    "990 equal paragraphs except one": (lines(*["a"] * 990), lines(*["a"] * 494, "b", *["a"] * 495)),
    "990 paragraphs, all different": (lines(*NUMBERED), lines(*[f"b{number}" for number in range(990)])),
    "990 paragraphs, every other one different": (lines(*["a"] * 990), lines(*["a", "b"] * 495)),
    "990 paragraphs in random order": (lines(*NUMBERED), lines(*shuffled(NUMBERED))),
    "990 paragraphs in reverse order": (lines(*NUMBERED), lines(*NUMBERED[::-1])),
    "990 paragraphs of two kinds at random": (lines(*drawn(990, "ab")), lines(*drawn(990, "ba"))),
    "alternating words": ("a b " * 12_500, "b a " * 12_500),
    "words of three kinds at random": (" ".join(drawn(25_000, "abc")), " ".join(drawn(25_000, "cab"))),
    "100,000 words": (" ".join(drawn(100_000, "abc")), " ".join(drawn(100_000, "cab"))),
    "100,000 equal words except two": ("a " * 100_000, "a " * 50_000 + "b " + "a " * 49_998 + "b"),
    "empty lines": ("\n" * 50_000 + "a", "\n " * 25_000 + "b"),
    "one word": ("a" * LETTER_LENGTH, "a" * (LETTER_LENGTH - 1) + "b"),
}


def makes_up(pieces: tuple[Piece, ...], without: str) -> str:
    return "".join(piece.text for piece in pieces if piece.kind != without)


@pytest.mark.parametrize(("before", "after"), HOSTILE.values(), ids=HOSTILE)
@pytest.mark.slow
def test_comparing_hostile_texts_stays_within_a_budget_and_loses_nothing(before: str, after: str) -> None:
    with at_most(MOST_LINES):
        pieces = Comparer().difference(before, after)
    assert makes_up(pieces, "ins") == before
    assert makes_up(pieces, "del") == after


@pytest.mark.slow
def test_comparisons_of_a_page_share_one_budget_of_steps() -> None:
    before, after = HOSTILE["990 paragraphs in random order"]
    comparer = Comparer()
    with at_most(MOST_LINES) as run:
        comparer.difference(before, after)
        once = run()
        for _ in range(20):
            assert makes_up(comparer.difference(before, after), "ins") == before
        assert run() - once < once / 10, "the first comparison should use up all steps"


@settings(max_examples=300)
@given(
    st.lists(st.sampled_from(["a", "b ", "c\n\n", "\n \n", "  ", "é"]), max_size=60).map("".join),
    st.lists(st.sampled_from(["a", "b ", "c\n\n", "\n \n", "  ", "é"]), max_size=60).map("".join),
    st.integers(0, 300),
)
@pytest.mark.slow
def test_differences_reproduce_both_texts_wherever_the_steps_run_out(before: str, after: str, steps: int) -> None:
    pieces = Comparer(steps).difference(before, after)
    assert makes_up(pieces, "ins") == before
    assert makes_up(pieces, "del") == after


@given(st.lists(st.sampled_from("ab"), max_size=7), st.lists(st.sampled_from("ab"), max_size=7))
def test_comparison_finds_the_longest_common_subsequence(before: list[str], after: list[str]) -> None:
    pieces = Comparer().difference("".join(f"{word} " for word in before), "".join(f"{word} " for word in after))
    same = sum(len(piece.text.split()) for piece in pieces if piece.kind == "same")
    assert same == longest_common(before, after)


def longest_common(one: list[str], other: list[str]) -> int:
    """Return the length of the longest common subsequence, by the textbook recursion."""
    if not one or not other:
        return 0
    if one[0] == other[0]:
        return 1 + longest_common(one[1:], other[1:])
    return max(longest_common(one[1:], other), longest_common(one, other[1:]))


def change() -> LetterChange:
    db.session.rollback()
    return db.session.scalars(select(LetterChange)).one()


@pytest.mark.slow
def test_letter_saved_at_the_desk_is_compared_once(
    at_desk: AtDeskAs, client: FlaskClient, publish: Publish, sign: Sign
) -> None:
    before, after = HOSTILE["990 equal paragraphs except one"]
    publish(letter=before)
    sign()
    admin = at_desk(Role.ADMIN)
    fields = {key: value for key, value in vars(FILE).items() if isinstance(value, str)}
    version = db.session.scalars(select(Campaign.version)).one()
    fields |= {"letter": after, "goal": "100", "reason": "A mistake", "version": str(version)}
    with at_most(3 * MOST_LINES):
        page = admin.post(EDIT, data=fields).text
        seen = page.split('name="seen" value="')[1].split('"')[0]
        assert admin.post(EDIT, data=fields | {"seen": seen}).status_code == 303
    assert change().pieces is not None
    with at_most(NONE):
        page = client.get(f"{PATH}/changes").text
    assert "[removed:</span>a<span" in page
    assert "[added:</span>b<span" in page


@pytest.mark.slow
def test_letter_published_from_a_file_is_compared_once(
    runner: Any, client: FlaskClient, publish: Publish, sign: Sign, tmp_path: Any
) -> None:

    publish()
    sign()
    path = tmp_path / "park.md"
    path.write_text(writing.write(type(FILE)(**vars(FILE) | {"letter": "Dear Mayor,\n\nkeep it."})))
    result = runner.invoke(args=["campaigns", "publish", str(path), "--reason", "Shorter"])
    assert result.output == "updated save-the-park\n"
    assert change().pieces is not None
    with at_most(NONE):
        assert "[removed:</span>please *keep* the park." in client.get(f"{PATH}/changes").text


def test_edit_compares_nothing_within_its_transaction(publish: Publish, sign: Sign) -> None:
    campaign, now = publish(), datetime.now(UTC)
    sign()
    with write_transaction() as session, at_most(NONE):
        file = type(FILE)(**vars(FILE) | {"letter": "Other words"})
        editing.edit(session, COMMAND, campaign.id, file, now, reasons={"": "So"})
    assert change().pieces is None


def test_comparison_with_an_outdated_text_is_not_stored(publish: Publish, sign: Sign) -> None:
    campaign, now = publish(), datetime.now(UTC)
    sign()
    file = type(FILE)(**vars(FILE) | {"letter": "Other words"})
    compared = editing.compare(db.session(), file, campaign)
    assert compared is not None
    with write_transaction() as session:
        stale = compared[""]._replace(before="What it was a while ago")
        editing.edit(session, COMMAND, campaign.id, file, now, reasons={"": "So"}, compared={"": stale})
    assert change().pieces is None


@pytest.mark.slow
def test_page_of_changes_without_stored_comparisons_stays_within_a_budget(
    client: FlaskClient, publish: Publish, sign: Sign
) -> None:
    before, after = HOSTILE["990 paragraphs in random order"]
    publish(letter=before)
    sign()
    for letter in (after, before, after, before, after):
        publish(letter=letter)
    with write_transaction() as session:
        session.execute(update(LetterChange).values(pieces=None))
    with at_most(MOST_LINES) as run:
        page = client.get(f"{PATH}/changes")
    assert page.status_code == 200
    assert page.text.count("<h2>") == 5
    assert run() > 0


@pytest.mark.slow
def test_audit_log_page_compares_hostile_letters_within_a_budget(at_desk: AtDeskAs, publish: Publish) -> None:
    before, after = HOSTILE["990 paragraphs in random order"]
    for letter in (before, after, before, after, before):
        publish(letter=letter)
    with at_most(MOST_LINES) as run:
        page = at_desk(Role.ADMIN).get("/desk/campaigns/save-the-park/record")
    assert page.status_code == 200
    assert run() > comparison.MOST_STEPS


@pytest.mark.slow
@only_sqlite
def test_edit_conflict_of_a_hostile_letter_stays_within_a_budget(at_desk: AtDeskAs, publish: Publish) -> None:
    before, after = HOSTILE["990 paragraphs in random order"]
    campaign = publish(letter=before)
    publish(letter="\n\n".join(sorted(before.split("\n\n"))))
    fields = {key: value for key, value in vars(FILE).items() if isinstance(value, str)}
    fields |= {"letter": after, "goal": "100", "version": str(campaign.version)}
    with at_most(MOST_LINES) as run:
        answer = at_desk(Role.ADMIN).post(EDIT, data=fields)
    assert answer.status_code == 409
    assert run() > comparison.MOST_STEPS
