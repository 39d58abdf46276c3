"""Three-way merge of texts, by paragraph and line."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from campaign.campaigns.letter.comparison import Comparer
from campaign.campaigns.letter.merging import choose, merge

BASE = "Dear Mayor,\n\nplease keep the park.\nIt is green.\n\nYours"
LINES = st.lists(st.sampled_from(["", "a", "b", "c", "d e"]), max_size=8)
TEXTS = LINES.map(lambda lines: "\n".join(lines).strip("\n"))
RED = BASE.replace("green", "red")


@pytest.mark.parametrize(
    ("theirs", "mine", "merged"),
    [
        (BASE.replace("Mayor", "Madam Mayor"), BASE + "\n\nP.S. Hi", "Dear Madam Mayor,{}\n\nP.S. Hi"),
        (
            BASE.replace("park", "parks"),
            RED,
            RED.replace("park", "parks"),
        ),
        ("New\n\n" + BASE, RED, "New\n\n" + RED),
        (
            BASE.replace("\n\nYours", ""),
            BASE.replace("Mayor", "Ada"),
            "Dear Ada,\n\nplease keep the park.\nIt is green.",
        ),
        (BASE, RED, RED),
        (RED, RED, RED),
    ],
)
def test_changes_to_different_paragraphs_and_lines_are_merged(theirs: str, mine: str, merged: str) -> None:
    rest = BASE.removeprefix("Dear Mayor,")
    assert merge(BASE, theirs, mine, Comparer()) == (merged.format(rest), [])


def test_conflict_has_only_the_lines_that_both_changed() -> None:
    theirs, mine = RED, BASE.replace("green", "blue").replace("Yours", "Love")
    merged, [conflict] = merge(BASE, theirs, mine, Comparer())
    assert merged == mine
    assert (conflict.base, conflict.theirs, conflict.mine) == ("It is green.", "It is red.", "It is blue.")
    assert (conflict.before, conflict.after) == ("please keep the park.", "Love")
    assert theirs.split("\n")[conflict.start : conflict.end] == ["It is red."]


@example(base="a\n\na\na\na\na\n\na", theirs="a\n\na\na\na\na\n\na", mine="a\n\n\na")
@given(base=TEXTS, theirs=TEXTS, mine=TEXTS)
@pytest.mark.slow
def test_merge_loses_no_change_of_either_editor(base: str, theirs: str, mine: str) -> None:
    merged, conflicts = merge(base, theirs, mine, Comparer())
    if mine == base:
        assert (merged, conflicts) == (theirs, [])
    if theirs in (base, mine):
        assert (merged, conflicts) == (mine, [])
    for conflict in conflicts:
        assert conflict.theirs not in (conflict.base, conflict.mine)
        assert conflict.mine != conflict.base
    # A line that one editor added, and no version lacks, is in the result or in a conflict.
    told = "\n".join([merged, *(conflict.theirs for conflict in conflicts)]).split("\n")
    for line in {*theirs.split("\n"), *mine.split("\n")} - {*base.split("\n"), ""}:
        assert line in told


@given(base=TEXTS, theirs=TEXTS, mine=TEXTS)
@pytest.mark.slow
def test_choosing_their_version_keeps_all_of_their_lines(base: str, theirs: str, mine: str) -> None:
    merged, conflicts = merge(base, theirs, mine, Comparer())
    for conflict in conflicts:
        chosen = choose(merged, theirs, conflict.start, conflict.end, Comparer())
        both = choose(merged, theirs, conflict.start, conflict.end, Comparer(), keep_both=True)
        for line in conflict.theirs.split("\n"):
            assert line in chosen.split("\n") or not line
            assert line in both.split("\n") or not line


@pytest.mark.slow
def test_merge_of_hostile_texts_stays_within_the_steps_of_a_comparison() -> None:
    numbers = [str(number * 7919 % 997) for number in range(990)]
    base, theirs, mine = ("\n\n".join(part) for part in (numbers, numbers[::-1], sorted(numbers)))
    merged, conflicts = merge(base, theirs, mine, Comparer())
    assert merged
    assert conflicts
