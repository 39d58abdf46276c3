"""Line breaks of pasted text are unified, and unusable characters are named with their place."""

import pytest

from campaign.text.pasted_text import unusable_character, with_line_breaks


def test_every_line_break_becomes_a_newline() -> None:
    assert with_line_breaks("a\r\nb\rc\x0bd\x0ce\x85f\n\rg") == "a\nb\nc\nd\ne\nf\n\ng"


@pytest.mark.parametrize(
    ("text", "description"),
    [
        ("a\x00", "control character U+0000 (NUL) at character 2 of line 1"),
        ("one\ntwo\x1b[0m", "control character U+001B (ESC) at character 4 of line 2"),
        ("\n\n\x9f", "control character U+009F at character 1 of line 3"),
        ("x\x7f", "control character U+007F at character 2 of line 1"),
        ("\ud83c", "half character U+D83C at character 1 of line 1"),
        ("é\ufffe", "noncharacter U+FFFE at character 2 of line 1"),
    ],
)
def test_unusable_character_is_named_with_line_and_character(text: str, description: str) -> None:
    assert unusable_character(text) == description


def test_usable_text_has_no_unusable_character() -> None:
    assert unusable_character("Zoë\n\t🌳 می\u200cخواهم \u00a0\u2028\ufeff") == ""
