"""Rendering hostile letters takes bounded work."""

import sys
from contextlib import suppress
from types import FrameType

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from campaign.campaigns.fields import InvalidCampaignError, check
from campaign.campaigns.letter import checks, html_writer, markdown, tree
from campaign.campaigns.letter.html_writer import to_html
from campaign.campaigns.letter.markdown import LETTER_LENGTH, MOST_STEPS, TooMuchWorkError
from campaign.models.account import Role
from tests.conftest import FILE, PATH, Publish, only_sqlite
from tests.desk.conftest import AtDeskAs

UNITS = [
    "![",
    "[",
    "[*",
    "[a](",
    "![a](",
    "*a ",
    "_![!",
    "[[a]!",
    "***a",
    "> ",
    "- ",
    "- a\n",
    "`",
    "<a",
    "&",
    "[a]: b\n",
    "www.",
    "https://a/(",
    "https://[",
    "|-",
]
"""Markup that makes a Markdown parser slow when it is repeated."""
TOKENS = [
    *UNITS,
    "](",
    "]",
    ")",
    "(",
    "**",
    "_",
    " ",
    "\n",
    "\n\n",
    "\\",
    '"',
    "'",
    "#",
    "    ",
    "\t",
    "<",
    "1. ",
    "===\n",
    "--\n",
    "é",
    "\u00a0",
    "\u200b",
    "\u2029",
]
CALLS_OF_STEP = 100
"""The most Python calls per step or character. The work of a step is linear, and usually takes about ten calls."""


def repeated(unit: str, length: int) -> str:
    return (unit * length)[:length]


def forget() -> None:
    """Clear the caches of letters."""
    html_writer._to_html.cache_clear()
    tree._parse.cache_clear()


def takes_too_much_work(letter: str) -> bool:
    try:
        markdown.parse(letter)
    except TooMuchWorkError:
        return True
    return False


def calls_for(letter: str) -> int:
    """Count the function calls that render a letter. Times would mean nothing on a busy machine."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    forget()
    sys.setprofile(count)
    try:
        to_html(letter)
    finally:
        sys.setprofile(None)
        forget()
    return calls


@pytest.mark.parametrize("unit", ["![", "[*", "[[a]!"])
@pytest.mark.slow
def test_hostile_letter_stops_at_the_step_limit(unit: str) -> None:
    letter = repeated(unit, LETTER_LENGTH)
    assert takes_too_much_work(letter)
    assert calls_for(letter) <= 20 * MOST_STEPS
    assert to_html(letter) == f"<p>{letter}</p>", "it is shown as plain text"


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.slow
def test_each_step_of_a_hostile_letter_is_cheap(monkeypatch: pytest.MonkeyPatch, unit: str) -> None:
    monkeypatch.setattr(markdown, "MOST_STEPS", 2_000)
    assert calls_for(repeated(unit, 2_000)) <= CALLS_OF_STEP * 4_000


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    first=st.lists(st.sampled_from(TOKENS), min_size=1, max_size=4).map("".join),
    second=st.lists(st.sampled_from(TOKENS), max_size=3).map("".join),
)
@pytest.mark.slow
def test_mixtures_of_hostile_markup_stay_within_the_limit(
    monkeypatch: pytest.MonkeyPatch, first: str, second: str
) -> None:
    monkeypatch.setattr(markdown, "MOST_STEPS", 1_000)
    letter = repeated(first, 500) + repeated(second, 500)
    assert calls_for(letter) <= CALLS_OF_STEP * (1_000 + len(letter))


def test_letter_longer_than_the_limit_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    letter = repeated("![", 240_000)
    assert calls_for(letter) <= 100
    assert len(to_html(letter)) == len("<p></p>") + LETTER_LENGTH


@pytest.mark.slow
def test_longest_letter_with_markup_in_every_line_is_rendered() -> None:
    line = "*word* and [link](https://example.org/a_b_c) **strong** text.\n\n- one\n- two\n\n> a quote\n\n"
    letter = repeated(line, LETTER_LENGTH)
    assert not takes_too_much_work(letter)
    assert "<blockquote>" in to_html(letter)


def test_letter_with_one_word_per_line_is_rendered() -> None:
    assert not takes_too_much_work(repeated("word \n", LETTER_LENGTH))


def test_plain_paragraphs_are_escaped() -> None:
    letter = "<script>alert(1)</script>\n\n" + repeated("![", LETTER_LENGTH)
    assert to_html(letter).startswith("<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n<p>![")


def test_letter_with_too_much_markdown_is_refused() -> None:
    with pytest.raises(InvalidCampaignError) as refused:
        check({**vars(FILE), "addressees": ["The Mayor"], "letter": repeated("![", 40_000)})
    assert set(refused.value.errors) == {"letter"}
    assert "too much Markdown" in refused.value.errors["letter"]


REPEATED_REFERENCES = {
    "link": "[a]: http://" + "x" * 24_000 + "\n\n" + "[a] " * 6_000,
    "link with an address that is escaped": "[a]: http://" + "&" * 24_000 + "\n\n" + "[a] " * 6_000,
    "link with an address that is percent-encoded": "[a]: http://" + "é" * 24_000 + "\n\n" + "[a] " * 6_000,
    "title": "[a]: /x '" + "x" * 24_000 + "'\n\n" + "[a] " * 6_000,
    "image": "[a]: http://" + "x" * 24_000 + "\n\n" + "![a] " * 5_000,
    "image within a link": "[a]: http://" + "x" * 24_000 + "\n\n" + "[![a]][a] " * 2_500,
    "link in a list": "[a]: http://" + "x" * 24_000 + "\n\n" + "- [b][a]\n" * 2_500,
}


@pytest.mark.parametrize("kind", REPEATED_REFERENCES)
@pytest.mark.slow
def test_long_reference_is_not_repeated_in_the_html(kind: str) -> None:
    letter = REPEATED_REFERENCES[kind]
    assert takes_too_much_work(letter)
    assert len(to_html(letter)) <= 10 * LETTER_LENGTH


def test_short_reference_can_be_used_often() -> None:
    html = to_html("[a]: https://example.org/" + "x" * 100 + "\n\n" + "[a] " * 1_000)
    assert html.count("<a href=") == 1_000


@pytest.mark.parametrize(
    "url",
    [
        "https://" + "".join(map(chr, range(0x4E00, 0x4E00 + 20_000))) + ".org",
        "mailto:a@" + "".join(map(chr, range(0x4E00, 0x4E00 + 20_000))) + ".org",
        "//" + ".".join(map(chr, range(0x4E00, 0x4E00 + 900))) + ".org",
    ],
    ids=["host", "mail", "labels"],
)
def test_long_host_is_not_encoded(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    encoded: list[str] = []

    def encode(_markdown: MarkdownIt, url: str) -> str:
        encoded.append(url)
        return url

    monkeypatch.setattr(MarkdownIt, "normalizeLink", encode)
    for letter in (f"[a]({url})", f"[a]\n\n[a]: {url}", f"<{url}>", f"![a]({url})", f"see {url}"):
        html = to_html(letter)
        assert "<a" not in html
        with suppress(ValueError):
            checks.check(letter)
    assert encoded == []


@only_sqlite
@pytest.mark.slow
def test_letter_with_too_much_markdown_gets_an_error_at_the_desk(at_desk: AtDeskAs) -> None:
    letter = repeated("![", 40_000)
    answer = at_desk(Role.ADMIN).post("/desk/campaigns/new", data={"title": "Park", "letter": letter})
    assert answer.status_code == 422
    assert "The letter has too much Markdown" in answer.text
    assert f"\n{letter}</textarea>" in answer.text, "the input is kept"


@only_sqlite
@pytest.mark.parametrize("length", [40_000, 55_000])
@pytest.mark.slow
def test_live_preview_of_a_hostile_letter_shows_plain_text(at_desk: AtDeskAs, length: int) -> None:
    admin = at_desk(Role.ADMIN)
    forget()
    answer = admin.post("/desk/campaigns/preview", data={"letter": repeated("![", length)})
    assert answer.status_code == 200
    assert repeated("![", 40_000) in answer.text


@only_sqlite
def test_hostile_letter_saved_earlier_is_shown_as_plain_text(app: Flask, publish: Publish) -> None:
    publish(letter=repeated("![", 40_000))
    assert repeated("![", 40_000) in app.test_client().get(PATH).text
