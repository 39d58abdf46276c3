"""The letter that people sign is the letter that is delivered: page, preview, and book have the same words."""

import re
from html.parser import HTMLParser

import pypdf
import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaign.campaigns.letter.html_writer import to_html
from campaign.models.account import Role
from tests.attacks.test_markdown import TOKENS
from tests.campaigns.letters import LETTERS
from tests.conftest import FILE, PATH, Publish, only_sqlite
from tests.deliveries.test_book import LETTER, Maker, make, text_of
from tests.desk.conftest import AtDeskAs, at_desk
from tests.desk.editor import shown

__all__ = ["at_desk", "make"]

ALL = "\n\n---\n\n".join([FILE.letter, LETTER, *LETTERS.values()])
"""All letters, one after the other, because each PDF takes a moment."""


class Printed(HTMLParser):
    """Collects what a browser shows of a letter's HTML, with the numbers of lists, and with URLs as in the book."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self._numbers: list[int | None] = []
        self._link = ("", 0)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("ol", "ul"):
            self._numbers.append(int(given.get("start") or 1) if tag == "ol" else None)
        elif tag == "li" and (number := self._numbers[-1]) is not None:
            self.text += f"{number}. "
            self._numbers[-1] = number + 1
        elif tag == "a":
            self._link = given["href"] or "", len(self.text)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("ol", "ul"):
            self._numbers.pop()
        elif tag == "a":
            url, begin = self._link
            words = self.text[begin:]
            if url.removeprefix("mailto:") not in (words, f"https://{words}") and not words.startswith("http"):
                self.text += f" ({url.removeprefix('mailto:')})"

    def handle_data(self, data: str) -> None:
        self.text += data


def without_space(text: str) -> str:
    """Return the text without white space and the marks of lists, which a PDF has as characters."""
    return re.sub(r"[\s•‣–]", "", text)


def on_the_page(html: str) -> str:
    printed = Printed()
    printed.feed(html)
    return without_space(printed.text)


def in_the_book(reader: pypdf.PdfReader, title: str) -> str:
    marks = rf"(?:{re.escape(title)})?\s*\d+ / \d+$"
    pages = [re.sub(marks, "", text_of(page)) for page in reader.pages[1:]]
    return without_space("".join(pages)).removeprefix(without_space(title))


def letter_on(page: str) -> str:
    return page[page.index("</ul>", page.index('<div class="words"')) + 5 : page.index('<h2 class="signed">')]


@only_sqlite
@pytest.mark.slow
def test_page_preview_and_book_have_the_same_words_and_numbers(
    client: FlaskClient, publish: Publish, at_desk: AtDeskAs, make: Maker
) -> None:
    publish(letter=ALL)
    page = letter_on(client.get(PATH).text)
    preview = letter_on(
        shown(at_desk(Role.ADMIN).post("/desk/campaigns/preview", data=vars(FILE) | {"letter": ALL}).text)
    )
    assert page == preview
    printed = on_the_page(page)
    for words in (
        "3.Third4.Fourth",
        "7.Seventh",
        "0.Zeroth",
        "999999999.Last",
        "5.five",
        "atree",
        "abird",
        "Yours,--Ada",
    ):
        assert words in printed
    assert in_the_book(make([], letter=ALL), FILE.title) == printed


PARTS = st.sampled_from(
    [*TOKENS, "3. ", "- a\n  - b\n", "word ", "![a](x)", "**b** ", "[c](https://example.org) ", "\n> d\n"]
)


@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(PARTS, max_size=12).map("".join), min_size=10, max_size=20))
@pytest.mark.slow
def test_generated_letters_are_the_same_on_the_page_and_in_the_book(make: Maker, letters: list[str]) -> None:
    letter = "\n\n---\n\n".join(["begin", *letters, "end"])
    assert in_the_book(make([], letter=letter), FILE.title) == on_the_page(to_html(letter))


@pytest.mark.slow
def test_letter_with_too_much_markdown_is_the_same_on_the_page_and_in_the_book(make: Maker) -> None:
    letter = "Dear Mayor,\n\n" + "![" * 20_000
    assert in_the_book(make([], letter=letter), FILE.title) == on_the_page(to_html(letter))


DEEP = {
    "emphasis": "*a **b " * 500 + "c** d* " * 500,
    "quotes": ">" * 19 + " a",
    "quotes beyond the limit": ">" * 40 + " a",
    "lists in quotes": "> " * 8 + "- " * 6 + "***[a](https://example.org)***",
    "quotes in lists": "1. " * 6 + "> " * 8 + "# **_[a](https://example.org)_**",
    "ten lists": "- " * 10 + "# **_[a](https://example.org)_**",
    "lists": "".join("  " * level + "- a\n" for level in range(9)),
    "lists beyond the limit": "".join("  " * level + "- a\n" for level in range(30)),
    "links": "[" * 100 + "a" + "](https://example.org)" * 100,
    "images": "![" * 100 + "a" + "](https://example.org)" * 100,
}


@pytest.mark.parametrize("kind", DEEP)
@pytest.mark.slow
def test_deeply_nested_letter_has_a_book(make: Maker, kind: str) -> None:
    assert in_the_book(make([], letter=DEEP[kind]), FILE.title) == on_the_page(to_html(DEEP[kind]))
