"""Public changes to a letter that has signatures: when, why, and what changed."""

import re
from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, select

from campaign.accounts.audit_log import COMMAND
from campaign.campaigns import editing
from campaign.campaigns.fields import InvalidCampaignError
from campaign.campaigns.letter.cleaning import cleaned
from campaign.campaigns.letter.comparison import Comparer
from campaign.campaigns.translations import signed_texts
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign, LetterChange
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import FILE, PATH, Publish, Sign


def change(campaign: Campaign, reason: str = "", **keys: object) -> None:
    with write_transaction() as session:
        file = editing.file_of(session, session.get_one(Campaign, campaign.id))
        file = type(file)(**vars(file) | keys)
        editing.edit(session, COMMAND, campaign.id, file, datetime.now(UTC), reasons={"": reason})


def changes() -> list[LetterChange]:
    db.session.rollback()
    return list(db.session.scalars(select(LetterChange).order_by(LetterChange.id)))


@pytest.mark.parametrize("key", ["title", "addressees", "letter"])
@pytest.mark.slow
def test_signed_text_changes_only_with_a_reason(campaign: Campaign, sign: Sign, key: str) -> None:
    change(campaign, **{key: "Nobody had signed"})
    sign()
    for reason in ("", " \n"):
        with pytest.raises(InvalidCampaignError) as error:
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


def test_unsigned_fields_change_without_a_reason(campaign: Campaign, sign: Sign) -> None:
    sign()
    change(campaign, "for nothing", thanks="Thank you!", goal=500, donate_text="Give.")
    assert changes() == []


PASTED = "Dear Mayor,\n\u00a0\n-\u00a0keep\u2028- the\u200b park\u00ad\n\n\ufeff    *now*"


def test_letter_with_pasted_characters_stays_as_people_signed_it(campaign: Campaign, sign: Sign) -> None:
    change(campaign, letter=PASTED)
    sign()
    change(campaign, goal=500)
    assert db.session.get_one(Campaign, campaign.id).letter == PASTED
    change(campaign, letter=cleaned(PASTED))
    assert changes() == [], "readers see the same letter as before"
    with pytest.raises(InvalidCampaignError, match="reason"):
        change(campaign, letter=PASTED.replace("now", "today"))


def test_public_pages_show_when_why_and_how_the_letter_changed(
    client: FlaskClient, campaign: Campaign, sign: Sign
) -> None:
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
    shown_changes = re.findall(r"<p>Changed on <time [^>]+>([^<]+)</time>: <bdi>([^\n]*?)</bdi>", page)
    today = f"{datetime.now(UTC):%B %-d, %Y}"
    assert shown_changes == [(today, "A mistake"), (today, "&lt;b&gt;The mayor&lt;/b&gt; has gone")]
    assert page.count(f'<a href="{PATH}/changes">See what changed</a>') == 1
    assert page.index("please <em>keep</em>") < page.index("Changed on") < page.index(">Signed</h2>")
    assert "Changed on" in client.get(f"{PATH}/thanks").text
    answer = client.get(f"{PATH}/changes")
    assert "public" in answer.headers["Cache-Control"]
    assert client.get(f"{PATH}/changes", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    shown = re.sub(r'<span class="visually-hidden" lang="en">([^<]+)</span>', r"\1", answer.text)
    assert "Dear <del>[removed:Mayor,:]</del><ins>[added:Council,:]</ins>" in shown
    assert "Save <del>[removed:the:]</del><ins>[added:our:]</ins> Park" in shown
    assert answer.text.index("A mistake") < answer.text.index("has gone"), "the newest first"


def test_page_without_changes_shows_none_and_runs_no_extra_query(
    client: FlaskClient, publish: Publish, sign: Sign
) -> None:
    sign()
    client.get(PATH)
    asked: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    page = client.get(PATH).text
    # The campaign, its languages, its signatories, its count, and whether there are other campaigns.
    assert len([statement for statement in asked if "SELECT" in statement]) == 5, asked
    assert 'href="/campaigns/save-the-park/changes"' not in page
    assert "<img" not in page
    assert "og:image" not in page


@given(st.text(), st.text())
@pytest.mark.slow
def test_differences_reproduce_both_texts(before: str, after: str) -> None:
    pieces = Comparer().difference(before, after)
    assert "".join(piece.text for piece in pieces if piece.kind != "ins") == before
    assert "".join(piece.text for piece in pieces if piece.kind != "del") == after


def test_corrected_paragraph_is_compared_by_word_and_new_one_inserted_whole() -> None:
    before = "Dear Mayor,\n\nkeep the park.\n\nYours"
    after = "Dear Mayor,\n\nkeep our park.\n\nAnd trees.\n\nYours"
    shown = [(piece.kind, piece.text) for piece in Comparer().difference(before, after)]
    assert shown == [
        ("same", "Dear Mayor,\n\nkeep "),
        ("del", "the"),
        ("ins", "our"),
        ("same", " park.\n\n"),
        ("ins", "And trees.\n\n"),
        ("same", "Yours"),
    ]


def test_single_changed_word_in_a_long_letter_is_found() -> None:
    before = "word " * 5000
    pieces = Comparer().difference(before + "less", before + "more")
    assert [(piece.kind, piece.text) for piece in pieces] == [("same", before), ("del", "less"), ("ins", "more")]


def test_signed_text_is_title_addressees_and_letter() -> None:
    assert signed_texts(FILE) == {"": f"{FILE.title}\n\n{FILE.addressees}\n\n{FILE.letter}"}
