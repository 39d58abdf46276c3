"""Email addresses are folded to what can be delivered, and lead to the same mailbox as before."""

import unicodedata
from contextlib import suppress

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from campaign.signatures.signing import email_key
from campaign.text.bounded_text import MOST_MARKS
from campaign.text.email_address import EMAIL_LENGTH, deliverable

ADA = "ada7@example.org"


@pytest.mark.parametrize(
    "typed",
    [
        ADA,
        f" {ADA}\n",
        "ada７@example.org",
        "ada７＠example.org",
        "ada7@example。org",
        "ada7@example｡org",
        "ada7@example．org",
        "ａｄａ７＠ｅｘａｍｐｌｅ．ｏｒｇ",
        "ada7@EXAMPLE.Org",
        "ada7@example.org.",
        "ada7@example.org,",
        "ada7@example.org; ",
        "ada7@example.org。",
        "ada7@example.org…",
        "<ada7@example.org>",
        "＜ada7@example.org＞",
        "(ada7@example.org)",
        "[ada7@example.org],",
        '"ada7@example.org"',
        "'ada7@example.org'",
        "“ada7@example.org”",
        "„ada7@example.org“.",
        "«ada7@example.org»",
        "「ada7@example.org」",
        "mailto:ada7@example.org",
        "MAILTO:ada7@example.org?subject=Petition&cc=x@example.org",
        "<mailto:ada7@example.org>",
        "Ada Lovelace <ada7@example.org>",
        '"Lovelace, Ada" <ada7@example.org>;',
        "ada7@example.org <ada7@example.org>",
        "<ada7@example.org",
        "\ufeffada7@example.org\u200b",
        "\u200eada7\u2060@exa\u00admple.org",
        "ada\u200d7@example.org",
        "ada7@exam\u200cple.org",
        "\u202aada7@example.org\u202c",
    ],
    ids=ascii,
)
def test_address_is_stored_in_the_form_that_can_be_delivered(typed: str) -> None:
    assert deliverable(typed) == ADA
    assert email_key(typed) == email_key(ADA)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("Ada.Lovelace+park@Example.org", "Ada.Lovelace+park@example.org"),
        ("o'brien@example.org", "o'brien@example.org"),
        ("'ada@example.org", "'ada@example.org"),
        ("{ada}@example.org", "{ada}@example.org"),
        ("jose\u0301@example.org", "josé@example.org"),
        ("用户@例子.广告", "用户@例子.广告"),
        ("ada@xn--bcher-kva.example.com", "ada@bücher.example.com"),
        ("दुकान@मेरा.भारत", "दुकान@मेरा.भारत"),
    ],
)
def test_valid_address_is_kept(typed: str, stored: str) -> None:
    assert deliverable(typed) == stored


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("", ""),
        ("<>", ""),
        ("ada＠", "ada@"),
        ("a@example.org, b@example.org.", "a@example.org, b@example.org"),
        ("a@example.org b@example.org", "a@example.org b@example.org"),
        ("mailto:ada", "ada"),
        (".ada@example.org", ".ada@example.org"),
        ("a" * 1017, "a" * 1017),
        ("a" + "\u0301" * 31 + "@example.org", "a" + "\u0301" * 31 + "@example.org"),
    ],
)
def test_invalid_address_is_only_folded(typed: str, shown: str) -> None:
    assert deliverable(typed) == shown
    with pytest.raises(EmailNotValidError):
        email_key(typed)


def key_before(email: str) -> str:
    """Return the key as the first version made it, from an address that was only trimmed and composed."""
    address = validate_email(unicodedata.normalize("NFC", email.strip()), check_deliverability=False)
    if len(address.normalized) > EMAIL_LENGTH:
        raise EmailNotValidError
    domain = address.ascii_domain.lower()
    local = unicodedata.normalize("NFKC", address.local_part).lower()
    local = local.partition("+")[0] or local
    if domain in ("gmail.com", "googlemail.com"):
        return f"{local.replace('.', '')}@gmail.com"
    return f"{local}@{domain}"


def is_valid(email: str) -> bool:
    with suppress(EmailNotValidError):
        validate_email(email, check_deliverability=False)
        return True
    return False


LOCAL = st.text(
    st.sampled_from("abzAZ.+-_'{}`!#$%&*/=?^|~09éÉßıİñﬁⅷ７ａ．＋“”«»‘’<>()[]\":;,۷٧क़한\u0301\u200d\u200c\ufe0f\u3000 ")
)
ORDINARY = [
    "example.org",
    "EXAMPLE.org",
    "gmail.com",
    "GoogleMail.com",
    "bücher.example.com",
    "faß.de",
    "例え.テスト.com",
]
WIDE = ["example。org", "example．org", "ｅxample.org", "ﬁ.example.com", "xn--bcher-kva.example.com"]
INVISIBLE = ["exam\u00adple.org", "क्\u200dष.com", "نامه\u200cای.com", "example.org\ufe0f"]
ENDED = ["example.org.", "example.org”", "example.org'", "[127.0.0.1]"]
DOMAIN = st.sampled_from([*ORDINARY, *WIDE, *INVISIBLE, *ENDED])


@given(LOCAL, DOMAIN)
@example("ada９", "example。org")
@example("‘ada", "example.org")
@example("„ada", "example.org")
@pytest.mark.slow
def test_address_that_was_valid_keeps_its_mailbox(local: str, domain: str) -> None:
    typed = f"{local}@{domain}"
    try:
        before = key_before(typed)
    except (EmailNotValidError, UnicodeError):
        return
    # Signs such as ⅷ and ﬁ are letters in the key. If that makes the address invalid, nothing was ever delivered to it.
    if is_valid(f"{unicodedata.normalize('NFKC', local.strip())}@example.org"):
        assert email_key(typed) == before
        assert email_key(deliverable(typed)) == before


@given(st.one_of(st.text(max_size=300), st.builds("{}@{}".format, LOCAL, DOMAIN)))
def test_stored_form_is_stable(typed: str) -> None:
    once = deliverable(typed)
    if len(typed) <= EMAIL_LENGTH and not has_long_run(typed):
        assert deliverable(once) == once


def has_long_run(text: str) -> bool:
    return sum(map(bool, map(unicodedata.combining, text))) > MOST_MARKS
