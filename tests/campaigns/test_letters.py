"""How a letter's Markdown is read: what is cleaned, what becomes a link or a list, and what is refused."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from campaign.campaigns import fields
from campaign.campaigns.letter import checks
from campaign.campaigns.letter.cleaning import cleaned
from campaign.campaigns.letter.html_writer import to_html
from tests.campaigns.letters import LETTERS

REL = ' rel="noopener noreferrer"'
BLANKS = "\u00a0\u1680\u2000\u2003\u2007\u200a\u202f\u205f\u3000"
RENDERED = {
    "**bold** at the beginning": "<p><strong>bold</strong> at the beginning</p>",
    "a\n\n    **bold**": "<p>a</p>\n<p><strong>bold</strong></p>",
    "a\n\n\t**bold**": "<p>a</p>\n<p><strong>bold</strong></p>",
    "a\n\n \t  - b": "<p>a</p>\n<ul><li>b</li></ul>",
    "a\n\u00a0\nb": "<p>a</p>\n<p>b</p>",
    "a\n\u3000\u3000\nb": "<p>a</p>\n<p>b</p>",
    "a\u2029b": "<p>a</p>\n<p>b</p>",
    "a\r\n\r\nb": "<p>a</p>\n<p>b</p>",
    "a\x0b\x0bb": "<p>a</p>\n<p>b</p>",
    "a\x85- b": "<p>a</p>\n<ul><li>b</li></ul>",
    "a\n\n1.\u00a0b\u20282.\u2003c": "<p>a</p>\n<ol><li>b</li><li>c</li></ol>",
    "-\u00a0a\n\u00a0\u00a0-\u00a0b": "<ul><li>a<ul><li>b</li></ul></li></ul>",
    ">\u00a0-\u00a0a": "<blockquote><ul><li>a</li></ul></blockquote>",
    "##\u00a0Why": "<h3>Why</h3>",
    "\ufeff# Why": "<h2>Why</h2>",
    "\u200b- a\n\u00ad- b\n\u2060- c": "<ul><li>a</li><li>b</li><li>c</li></ul>",
    "**a\u200b** b": "<p><strong>a</strong> b</p>",
    "3. a\n4. b": '<ol start="3"><li>a</li><li>b</li></ol>',
    "0. a": '<ol start="0"><li>a</li></ol>',
    "Yours,\n--": "<p>Yours,\n--</p>",
    "Yours,\n-": "<p>Yours,\n-</p>",
    "Yours,\n---": "<p>Yours,</p>\n<hr>",
    "Why\n===": "<h2>Why</h2>",
    "> Yours,\n> --": "<blockquote><p>Yours,\n--</p></blockquote>",
    "~~~\n**a**": "<p>~~~\n<strong>a</strong></p>",
    "![a *tree*](https://example.org/x.png)": "<p>a <em>tree</em></p>",
    "*a *b* c*": "<p><em>a b c</em></p>",
    "<b>a</b>": "<p>&lt;b&gt;a&lt;/b&gt;</p>",
    "<Name:Ada>": "<p>&lt;Name:Ada&gt;</p>",
}
LINKS = {
    "[x](https://example.org)": "https://example.org",
    "[x](www.example.org)": "https://www.example.org",
    "[x](//example.org/y)": "https://example.org/y",
    "[x](example.org/park)": "https://example.org/park",
    "[x][y]\n\n[y]: www.example.org": "https://www.example.org",
    "[x](https://müller.example/ä)": "https://xn--mller-kva.example/%C3%A4",
    "[x](<https://example.org/a b>)": "https://example.org/a%20b",
    "[x](https://mastodon.example/@ada)": "https://mastodon.example/@ada",
    "[x](https://example.org:8080/?a=b@c#d)": "https://example.org:8080/?a=b@c#d",
    "[x](mailto:ada@example.org)": "mailto:ada@example.org",
    "[x](ada@example.org)": "mailto:ada@example.org",
    "<ada@example.org>": "mailto:ada@example.org",
    '[x](https://example.org "Title")': "https://example.org",
}
BARE = {
    "see https://example.org.": "https://example.org",
    "(https://example.org/a_(b))": "https://example.org/a_(b)",
    "https://example.org/_a_/*b*/c!": "https://example.org/_a_/*b*/c",
    "**https://example.org**": "https://example.org",
    "*https://example.org/*": "https://example.org/",
    "„https://example.org/a“": "https://example.org/a",
    "<b>https://example.org</b>": "https://example.org",
    "https://example.org…": "https://example.org",
    "https://example.org/?a=b&c=d;": "https://example.org/?a=b&amp;c=d",
    "HTTP://EXAMPLE.ORG": "http://EXAMPLE.ORG",
    "www.example.org/a, or": "https://www.example.org/a",
    "公園https://example.org/a。次": "https://example.org/a",
    "- www.example.org": "https://www.example.org",
    "[1] https://example.org [2]": "https://example.org",
}
NOT_LINKS = [
    *("`https://example.org`", "www.", "https://", "https://...", "ada@www.example.org", "http\\://example.org"),
    *("example.org", "K.Dev and Dr.Ly", "ftp://example.org", "xhttps://example.org", "a.www.example.org", "https://[x"),
    *("[x](/foo)", "[x](foo)", "[x](#x)", "[x](?x)", "[x](javascript:alert(1))", "[x](data:text/html,x)", "[x]()"),
    *("<javascript:alert(1)>", "[x](mailto:x)", "https://" + "x" * 300 + ".org", "https://example.org/" + "x" * 2000),
]


@pytest.mark.parametrize(("letter", "html"), RENDERED.items())
def test_letter_is_read_as_its_author_sees_it(letter: str, html: str) -> None:
    assert to_html(letter) == html


@pytest.mark.parametrize(("letter", "url"), (LINKS | BARE).items())
def test_link_leads_to_its_site(letter: str, url: str) -> None:
    html = to_html(letter)
    assert html.count("<a ") == html.count("</a>") == 1
    assert f'<a href="{url}"{REL}>' in html
    checks.check(letter)


@pytest.mark.parametrize("letter", NOT_LINKS)
def test_other_text_is_no_link(letter: str) -> None:
    assert "<a" not in to_html(letter)


def test_words_of_bare_urls_stay_as_typed() -> None:
    typed = "a https://example.org/ä(b), www.example.org! c"
    assert "".join(part.partition(">")[2] for part in f">{to_html(typed)}".split("<")) == typed


@pytest.mark.parametrize("blank", BLANKS)
def test_every_unicode_blank_is_a_blank_at_the_beginning_of_a_line(blank: str) -> None:
    html = "<p>a</p>\n<p>b</p>\n<ul><li>c</li></ul>\n<ol><li>d</li></ol>"
    assert to_html(f"a\n{blank}\n{blank * 4}b\n\n-{blank}c\n\n1.{blank}d") == html
    assert to_html(f"a{blank}b") == f"<p>a{blank}b</p>".replace("\u00a0", "&nbsp;"), "within a line, it stays"


@pytest.mark.parametrize(
    "words", ["می\u200cخواهم", "क्\u200dष", "ភាសា\u200bខ្មែរ", "\u2068Ada\u2069", "👩\u200d👧", "ᠮᠣᠩᠭᠣᠯ\u180eᠠ"]
)
def test_characters_that_belong_to_words_are_kept(words: str) -> None:
    assert cleaned(words) == words


@given(
    st.text(alphabet=st.sampled_from("a -*>#1.\t\n\r\x0b\x85\u2028\u2029\u00a0\u200b\ufeff\u00ad\u3000é"), max_size=30)
)
@example("-\u00a0\u200b\u00a0a")
def test_cleaning_is_idempotent(letter: str) -> None:
    assert cleaned(cleaned(letter)) == cleaned(letter)
    assert to_html(cleaned(letter)) == to_html(letter)


REFUSED = {
    "no words": ("---\n\n![](x)\n\n\u200b", "Write the letter"),
    "a relative link": (
        "a\n\nb\n[our page](/foo)",
        "address, like https://example.org/page, for the link “our page” on ",
    ),
    "its line": ("a\n\nb\n[our *page*](/foo)", "“our page” on line 4 ('/foo')"),
    "a link in a list": ("- a\n- b\n  [c](foo)", "“c” on line 3 ('foo')"),
    "a reference": ("[a]\n\n[a]: /foo", "the link “[a]:” on line 3 ('/foo')"),
    "a script": ("[a](javascript:alert(1))", "“a” on line 1 ('javascript:alert(1)')"),
    "a line that isn't shown": ("a\n\n[Contact]: ada@example.org", "Write a word before “[contact]:” on line 3."),
    "a reference twice": ("[a]\n\n[a]: b.org\n\n[a]: c.org", "Write a word before “[a]:” on line 5."),
    "a space in a link": ("a\nb [c](https://example.org/d e) f", "Correct the link “[c]” on line 2."),
    "a link without its end": ("a *b*\n[c](https://example.org", "Correct the link “[c]” on line 2."),
    "many links": ("[a](/a) [b](/b)\n[c](/c) [d](/d) [e](/e)", "“c” on line 2 ('/c'), and 2 more"),
    "a long link": (f"[{'a' * 300}](/{'b' * 3000})", "“aaaaaaa"),
    "a table": ("a\n\n| a | b |\n|---|---|\n| 1 | 2 |", "Write a list instead of the table on line 3."),
    "a table without edges": ("a | b\n--|--\n1 | 2", "Write a list instead of the table on line 1."),
    "a table without a rule": ("x\n\n| a | b |\n| 1 | 2 |", "Write a list instead of the table on line 3."),
    "a table in a quote": ("> | a | b |\n> |:-:|---|", "Write a list instead of the table on line 1."),
    "a table of a text editor": ("+---+---+\n| a | b |\n+---+---+", "Write a list instead of the table on line 1."),
    "many levels": ("a\n\n" + ">" * 25 + " b", "Use fewer levels of lists or quotes on line 3"),
}


@pytest.mark.parametrize(("letter", "error"), REFUSED.values(), ids=REFUSED)
def test_letter_that_would_not_be_shown_as_meant_is_refused(letter: str, error: str) -> None:
    with pytest.raises(ValueError, match=r"^[A-Z]") as refused:
        checks.check(letter)
    assert error in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("name", sorted(LETTERS.keys() - {"unusable links", "tables", "images"}))
def test_other_letters_can_be_saved(name: str) -> None:
    checks.check(LETTERS[name])


@pytest.mark.parametrize("key", ["summary", "thanks", "share_text", "donate_text"])
def test_markdown_link_in_plain_text_is_refused(key: str) -> None:
    check = fields.CHECKS[key]
    with pytest.raises(ValueError, match=r"without Markdown: '\[our page\]\(www\.example\.org\)'"):
        check("See [our page](www.example.org)")
    for plain in ("See www.example.org (our page)", "[sic] (yes)", "[a] (b)", "f(x)[1]"):
        assert check(plain) == plain
