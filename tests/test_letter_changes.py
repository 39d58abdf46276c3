"""Who signed other words is told: a letter that changes after it was signed says so, when, why and what."""

import re
from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, select

from campaign import editing, letter_changes
from campaign.campaign_keys import WrongError
from campaign.campaigns import words_signed
from campaign.desk_models import Record
from campaign.extensions import db, write_transaction
from campaign.models import Campaign, LetterChange
from campaign.record import COMMAND
from tests.conftest import FILE, PATH, Publish, Sign


def change(campaign: Campaign, reason: str = "", **keys: object) -> None:
    with write_transaction() as session:
        file = editing.file_of(session, session.get_one(Campaign, campaign.id))
        file = type(file)(**vars(file) | keys)
        editing.edit(session, COMMAND, campaign.id, file, datetime.now(UTC), reason=reason)


def changes() -> list[LetterChange]:
    db.session.rollback()
    return list(db.session.scalars(select(LetterChange).order_by(LetterChange.id)))


@pytest.mark.parametrize("key", ["title", "addressees", "letter"])
def test_signed_words_change_only_with_a_reason(campaign: Campaign, sign: Sign, key: str) -> None:
    change(campaign, **{key: "Nobody had signed"})
    sign()
    for reason in ("", " \n"):
        with pytest.raises(WrongError) as error:
            change(campaign, reason, **{key: "Other words"})
        assert list(error.value.errors) == ["reason"]
    assert changes() == []
    change(campaign, "The mayor has gone", **{key: "Other words"})
    (written,) = changes()
    assert (written.reason, written.campaign_id) == ("The mayor has gone", campaign.id)
    assert "Nobody had signed" in written.before
    assert "Other words" in written.after
    (record,) = db.session.scalars(select(Record).where(Record.reason != ""))
    assert (record.action, record.reason) == ("campaign.edit", "The mayor has gone")
    assert (record.before[key], record.after[key]) == ("Nobody had signed", "Other words")


def test_what_is_not_signed_changes_without_a_reason(campaign: Campaign, sign: Sign) -> None:
    sign()
    change(campaign, "for nothing", thanks="Thank you!", goal=500, donate_text="Give.")
    assert changes() == []


def test_the_page_says_when_and_why_and_another_what(client: FlaskClient, campaign: Campaign, sign: Sign) -> None:
    before = client.get(PATH).text
    assert "Changed on" not in before
    assert client.get(f"{PATH}/changes").status_code == 404
    sign()
    change(
        campaign,
        "<b>The mayor</b> has gone",
        letter="Dear Council,\n\nplease *keep* our park.",
        addressees="The Council",
    )
    change(campaign, "A mistake", title="Save our Park")
    page = client.get(PATH).text
    told = re.findall(r"<p>Changed on <time [^>]+>([^<]+)</time>: <span [^>]+>([^\n]*?)</span>", page)
    today = f"{datetime.now(UTC):%-d %B %Y}"
    assert told == [(today, "A mistake"), (today, "&lt;b&gt;The mayor&lt;/b&gt; has gone")]
    assert page.count(f'<a href="{PATH}/changes">See what changed</a>') == 1
    assert page.index("please <em>keep</em>") < page.index("Changed on") < page.index(">Signed</h2>")
    assert "Changed on" in client.get(f"{PATH}/thanks").text
    answer = client.get(f"{PATH}/changes")
    assert "public" in answer.headers["Cache-Control"]
    assert client.get(f"{PATH}/changes", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    shown = re.sub(r'<span class="visually-hidden" lang="en">([^<]+)</span>', r"\1", answer.text)
    assert "Dear <del>[taken out:Mayor,:]</del><ins>[put in:Council,:]</ins>" in shown
    assert "Save <del>[taken out:the:]</del><ins>[put in:our:]</ins> Park" in shown
    assert answer.text.index("A mistake") < answer.text.index("has gone"), "the newest first"


def test_a_page_without_changes_has_nothing_of_it_and_asks_for_nothing_more(
    client: FlaskClient, publish: Publish, sign: Sign
) -> None:
    sign()
    client.get(PATH)
    asked: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    page = client.get(PATH).text
    assert len([statement for statement in asked if "SELECT" in statement]) == 3, asked
    assert 'href="/campaigns/save-the-park/changes"' not in page
    assert "<img" not in page
    assert "og:image" not in page


@given(st.text(), st.text())
def test_what_is_taken_out_and_put_in_makes_up_both_texts(before: str, after: str) -> None:
    pieces = letter_changes.difference(before, after)
    assert "".join(piece.text for piece in pieces if piece.kind != "ins") == before
    assert "".join(piece.text for piece in pieces if piece.kind != "del") == after


def test_a_mended_paragraph_is_shown_by_words_and_a_new_one_as_a_whole() -> None:
    before = "Dear Mayor,\n\nkeep the park.\n\nYours"
    after = "Dear Mayor,\n\nkeep our park.\n\nAnd trees.\n\nYours"
    shown = [(piece.kind, piece.text) for piece in letter_changes.difference(before, after)]
    assert shown == [
        ("same", "Dear Mayor,\n\nkeep "),
        ("del", "the"),
        ("ins", "our"),
        ("same", " park.\n\n"),
        ("ins", "And trees.\n\n"),
        ("same", "Yours"),
    ]


def test_a_letter_without_end_is_compared_as_a_whole() -> None:
    before = "word " * 5000
    pieces = letter_changes.difference(before + "less", before + "more")
    assert [piece.kind for piece in pieces] == ["del", "ins"]


def test_words_that_are_signed_are_title_addressees_and_letter() -> None:
    assert words_signed(FILE) == f"{FILE.title}\n\n{FILE.addressees}\n\n{FILE.letter}"
