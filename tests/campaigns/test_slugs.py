"""Slugs: URLs that were printed, emailed, or posted keep working after a campaign's slug changes."""

from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, select

from campaign.accounts.audit_log import COMMAND
from campaign.campaigns import editing, slugs
from campaign.campaigns.fields import CHECKS, TITLE_LENGTH, InvalidCampaignError
from campaign.models.campaign import Campaign, CampaignState, FormerSlug
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.campaigns.test_letter_changes import change
from tests.conftest import ADA, FILE, HTMX, PATH, SLUG, Publish, stored

NEW = "/campaigns/keep-the-park"


@pytest.fixture
def renamed(campaign: Campaign) -> Campaign:
    change(campaign, slug="keep-the-park")
    return campaign


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/feed",
        "/thanks",
        "/signatures?before=1-2",
        ".json",
        ".atom",
        "/changes",
        "/privacy",
        "/share/mastodon?instance=a.b",
    ],
)
def test_former_slug_redirects_to_the_new_one(client: FlaskClient, renamed: Campaign, path: str) -> None:
    answer = client.get(PATH + path)
    assert (answer.status_code, answer.location) == (308, NEW + path)
    assert answer.headers["Cache-Control"] == "no-cache"


def test_query_cannot_change_the_redirect_target(client: FlaskClient, renamed: Campaign) -> None:
    for query in ("_external=1&_scheme=javascript", "slug=other", "endpoint=site.home", "_anchor=x", "ref=%0d%0ax"):
        assert client.get(f"{PATH}?{query}").location == f"{NEW}?{query}"


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
@pytest.mark.slow
def test_form_opened_before_a_slug_change_still_signs(
    client: FlaskClient, renamed: Campaign, headers: dict[str, str]
) -> None:
    answer = client.post(f"{PATH}/signatures", data=ADA, headers=headers)
    assert (answer.status_code, answer.location) == ((200, None) if headers else (303, f"{NEW}/thanks"))
    assert [signature.campaign_id for signature in stored()] == [renamed.id]
    wrong = client.post(f"{PATH}/signatures", data=ADA | {"name": ""}, headers=headers)
    assert wrong.status_code == 422
    assert f'action="{NEW}/signatures"' in wrong.text


def test_slug_of_another_campaign_is_refused_even_if_former(publish: Publish, renamed: Campaign) -> None:
    other = publish(slug="other")
    for slug in (SLUG, "keep-the-park"):
        with pytest.raises(InvalidCampaignError, match="slug: Choose another name for the page’s URL"):
            change(other, slug=slug)
    with write_transaction() as session, pytest.raises(InvalidCampaignError, match="slug"):
        editing.create(session, COMMAND, FILE, datetime.now(UTC))


def test_campaign_can_take_back_its_former_slug(client: FlaskClient, renamed: Campaign) -> None:
    change(renamed, slug=SLUG)
    assert client.get(PATH).status_code == 200
    assert client.get(NEW).location == PATH
    db.session.rollback()
    assert [(row.slug, row.campaign_id) for row in db.session.scalars(select(FormerSlug))] == [
        ("keep-the-park", renamed.id)
    ]


def test_draft_is_not_found_under_its_former_slug(client: FlaskClient, publish: Publish) -> None:
    change(publish(state=CampaignState.DRAFT), slug="keep-the-park")
    assert client.get(PATH).status_code == 404
    assert client.post(f"{PATH}/signatures", data=ADA).status_code == 404


def test_current_slug_runs_no_query_for_former_slugs(client: FlaskClient, renamed: Campaign) -> None:
    client.get(NEW)
    asked: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    client.get(NEW)
    assert not any("former_slug" in statement for statement in asked)


@pytest.mark.parametrize("path", ["", ".json", "/feed", "/signatures", "/preview?key=x", "/thanks"])
def test_slug_with_nul_is_not_found(client: FlaskClient, campaign: Campaign, path: str) -> None:
    assert client.get(f"/campaigns/save%00the-park{path}").status_code == 404


def test_signing_at_a_slug_with_nul_is_not_found(client: FlaskClient, campaign: Campaign) -> None:
    assert client.post("/campaigns/save%00the-park/signatures", data=ADA).status_code == 404


TITLES = {
    ("Für Größe", "de"): "fuer-groesse",
    ("Fu\u0308r GRO\u0308SSE", "de-AT"): "fuer-groesse",
    ("Für Größe", "en"): "fur-grosse",
    ("Łódź", "pl"): "lodz",
    ("Ångström på øen, æble", "da"): "angstrom-pa-oen-aeble",
    ("Sağlık için İstanbul", "tr"): "saglik-icin-istanbul",
    ("Đà Nẵng", "vi"): "da-nang",
    ("Сохраните парк", "ru"): "sokhranite-park",
    ("Збережіть п’ять парків", "uk"): "zberezhit-pyat-parkiv",
    ("Σώστε το πάρκο", "el"): "soste-to-parko",
    ("保存公园", "zh"): "baocungongyuan",
    ("공원을 지켜라", "ko"): "gongwoneul-jikyeola",
    ("أنقذوا الحديقة", "ar"): "nqdhw-lhdyqh",
    ("उद्यान बचाओ", "hi"): "udyan-bcao",
    ("Don’t Sell Mayor O'Neill's Park!", "en"): "dont-sell-mayor-oneills-park",
    ("Ｓａｖｅ the ﬁeld: 50% №1", "en"): "save-the-field-50-1",
    ("🌳🌳", "en"): "petition",
    ("", "en"): "petition",
    ("…", "no-such-language"): "petition",
    ("x" * 900, "en"): "petition",
    ("a\u0301" + "\u0301" * 40, "en"): "petition",
    ("word " * 40, "en"): "word-" * 15 + "word",
    ("x" * 200, "en"): "x" * 80,
}


@pytest.mark.parametrize("typed", ["Save-The-Park", "save_the park", " Ｓave–the—park\n", "SAVE  THE  PARK"], ids=ascii)
def test_typed_slug_is_understood_in_every_spelling(typed: str) -> None:
    assert slugs.of_typed(typed) == SLUG


@pytest.mark.parametrize("typed", ["save/the/park", "-park", "", "par\u200bk", "парк", "a" * 81])
def test_slug_with_other_characters_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match=r"letters|name|Shorten"):
        CHECKS["slug"](slugs.of_typed(typed))


@pytest.mark.parametrize(("title", "language"), TITLES, ids=ascii)
def test_slug_is_made_from_a_title_in_any_script(title: str, language: str) -> None:
    slug = slugs.of_title(title, language, TITLE_LENGTH)
    assert slug == TITLES[title, language]
    assert CHECKS["slug"](slug) == slug


@given(st.text(max_size=200), st.sampled_from(["de", "en", "x", ""]))
def test_every_title_has_a_valid_slug(title: str, language: str) -> None:
    slug = slugs.of_title(title, language, TITLE_LENGTH)
    assert CHECKS["slug"](slug) == slug


def test_automatic_slug_that_is_taken_gets_a_number(publish: Publish, renamed: Campaign) -> None:
    def free(slug: str, own_id: int | None = None) -> str:
        return slugs.free(db.session(), slug, own_id)

    assert free("new") == "new"
    # A former slug is taken, too, except for the campaign that had it.
    assert free(SLUG) == f"{SLUG}-2"
    assert free(SLUG, renamed.id) == SLUG
    publish(slug=f"{SLUG}-2")
    assert free(SLUG) == f"{SLUG}-3"
    longest = "x" * 80
    publish(slug=longest)
    assert free(longest) == "x" * 76 + "-2"
