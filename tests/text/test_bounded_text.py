"""The length of text from outside is checked before the text is normalized."""

import pytest

from campaign.text.bounded_text import MOST_MARKS, TextTooLongError, TooManyMarksError, normalized
from tests.attacks.conftest import Work

ACUTE, UMLAUT, ENCLOSED = "\u0301", "\u0308", "\u20dd"


@pytest.mark.parametrize("text", ["a" * 11, "a" + ACUTE * 10, "\u0000" * 11])
def test_long_text_is_refused_before_it_is_normalized(work: Work, text: str) -> None:
    with pytest.raises(TextTooLongError):
        normalized(text, 10)
    assert work.normalized == 0


@pytest.mark.parametrize("mark", [ACUTE, UMLAUT, ENCLOSED])
def test_long_run_of_combining_marks_is_refused_before_it_is_normalized(work: Work, mark: str) -> None:
    with pytest.raises(TooManyMarksError):
        normalized("a" + mark * (MOST_MARKS + 1), 1000)
    assert work.normalized == 0


def test_as_many_marks_as_the_standard_allows_are_normalized() -> None:
    assert normalized("a" + ACUTE * MOST_MARKS, 1000) == "á" + ACUTE * (MOST_MARKS - 1)
    assert len(normalized(("a" + ACUTE * MOST_MARKS) * 3, 1000)) == 3 * MOST_MARKS


@pytest.mark.parametrize(("typed", "shown"), [("e\u0301", "é"), ("Ada", "Ada"), ("", ""), ("한글", "한글")])
def test_text_within_the_limits_is_normalized(typed: str, shown: str) -> None:
    assert normalized(typed, 10) == shown


def test_normalization_form_can_be_chosen() -> None:
    assert normalized("ﬁ", 10, "NFKC") == "fi"
