"""Web addresses are completed or refused, and never lead to a page of our own site."""

import re
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.text.urls import URL_LENGTH, completed

COMPLETED = {
    "https://example.org/donate": "https://example.org/donate",
    "http://example.org": "http://example.org",
    "www.example.org": "https://www.example.org",
    "example.org/donate": "https://example.org/donate",
    "example.org?a=b": "https://example.org?a=b",
    "example.org#top": "https://example.org#top",
    "//example.org/x": "https://example.org/x",
    "example.org:8443/x": "https://example.org:8443/x",
    "HTTPS://Example.org/Donate": "https://Example.org/Donate",
    "https:/example.org/x": "https://example.org/x",
    "https:example.org": "https://example.org",
    "http:///example.org": "http://example.org",
    " <https://example.org/x> ": "https://example.org/x",
    "\u200bhttps://example.org/x\u2060": "https://example.org/x",
    "spenden.müller.de/jetzt": "https://spenden.müller.de/jetzt",
    "例え.テスト/寄付": "https://例え.テスト/寄付",
    "xn--mller-kva.de": "https://xn--mller-kva.de",
    "example.xn--p1ai/x": "https://example.xn--p1ai/x",
    "https://example.org/ä?b=c#d": "https://example.org/ä?b=c#d",
    "http://localhost:8000/x": "http://localhost:8000/x",
    "https://[2001:db8::1]/x": "https://[2001:db8::1]/x",
    "example.org./x": "https://example.org./x",
}
REFUSED = [
    *("", " ", "donate", "/donate", "../donate", "./x", "?x", "#x", "index.html", "donate.php?x=1", "letter.PDF"),
    *("javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "ftp://example.org", "tel:123", "file:///etc"),
    *("https://", "https:", "http//example.org", "https;//example.org", "https：//example.org", "3.5", "127.0.0.1/x"),
    *("example.org/a b", "https://a b.org", "https://exa\nmple.org", "https://[", "https://example.org:99999"),
    *("https://user:password@example.org", "ada@example.org", "mailto:ada@example.org", "localhost:8000", "-.org"),
    *(
        "example.org\\x",
        "https:\\\\",
        'https://example.org/"x',
        "https://example.org/<x>",
        "a..org",
        ".org",
        "x" * 2001,
        "https://" + "x" * 254,
    ),
]


@pytest.mark.parametrize(("typed", "url"), COMPLETED.items())
def test_web_address_is_completed(typed: str, url: str) -> None:
    assert completed(typed) == url
    assert completed(url) == url


@pytest.mark.parametrize("typed", REFUSED)
def test_text_that_is_no_web_address_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match=r"^Enter a .*web address") as error:
        completed(typed)
    assert len(str(error.value)) < 200


def test_email_address_becomes_a_mailto_link_where_allowed() -> None:
    assert completed("ada@example.org", mail=True) == "mailto:ada@example.org"
    assert completed("mailto:ada@example.org?subject=Hi", mail=True) == "mailto:ada@example.org?subject=Hi"
    assert completed("www.example.org", mail=True) == "https://www.example.org"
    for typed in ("mailto:", "mailto:ada", "ada@", "ada@localhost", "ada@b@example.org"):
        with pytest.raises(ValueError, match="web address"):
            completed(typed, mail=True)


@given(st.one_of(st.text(max_size=30), st.from_regex(re.compile(r"[a-z:/.@?#\\ 1-9]{1,20}", re.ASCII), fullmatch=True)))
def test_completed_address_never_leads_to_our_own_site(typed: str) -> None:
    try:
        url = completed(typed, mail=True)
    except ValueError:
        return
    if url.startswith("mailto:"):
        return
    assert len(url) <= URL_LENGTH + len("https://")
    joined = urlsplit(urljoin("https://petitions.example/campaigns/park", url))
    assert joined.scheme in ("http", "https")
    assert joined.hostname
    assert joined.hostname != "petitions.example"
