"""The statistics page: count, charts, maps, tables, CSV files, refreshing, and permissions."""

import csv
import re
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, update
from werkzeug.test import TestResponse

from campaign.models.account import Role
from campaign.models.campaign import Campaign, Translation
from campaign.models.roll_up import GroupCount, Kind
from campaign.models.signature import Signature
from campaign.signatures import fake, feed
from campaign.statistics import figures
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import ADA, PATH, Publish, Sign
from tests.desk.conftest import AtDeskAs
from tests.statistics.rolling import roll_up

pytestmark = pytest.mark.slow

PAGE = f"/desk{PATH}/figures"


@pytest.fixture
def observer(at_desk: AtDeskAs) -> FlaskClient:
    return at_desk(Role.OBSERVER)


@pytest.fixture
def signed(sign: Sign) -> Sign:
    """Return `sign`, after which the worker adds the signature to the statistics."""

    def signed(**fields: str) -> TestResponse:
        answer = sign(**fields)
        roll_up()
        return answer

    return signed


def cells(page: str, name: str) -> list[str]:
    return re.findall(rf"<tr[^>]*><th[^>]*><bdi>{name}</bdi></th><td[^>]*>([\d,]+)</td></tr>", page)


def test_observer_sees_count_times_places_and_sources(observer: FlaskClient, signed: Sign) -> None:
    signed()
    signed(email="b@example.org", country="FR", postal_code="", source="mail")
    page = observer.get(PAGE)
    assert page.status_code == 200
    assert "<strong>2</strong> signed" in page.text
    assert "2 in the last hour" in page.text
    assert "page views are not tracked" in page.text.lower()
    assert cells(page.text, "United States") == cells(page.text, "France") == cells(page.text, "California") == ["1"]
    assert cells(page.text, "\\(no source in the link\\)") == ["1"]
    assert "mail</th>" not in page.text, "a source with one signer is not shown"
    assert "<title>France: 1</title>" in page.text
    assert "<title>California: 1</title>" in page.text


def test_observer_sees_the_languages_in_which_signers_read_the_letter(observer: FlaskClient, sign: Sign) -> None:
    for number, language in enumerate(("", "en", "es", "pt-BR", "zh-Hant", "es")):
        email = f"{number}@example.org"
        sign(email=email)
        with write_transaction() as session:
            session.execute(update(Signature).where(Signature.email == email).values(language=language))
    roll_up()
    page = observer.get(PAGE).text
    assert '<h2 id="languages">Languages</h2>' in page
    assert "The language in which signers read the letter" in page
    assert cells(page, "English") == cells(page, "Spanish") == ["2"]
    assert cells(page, "Portuguese \\(Brazil\\)") == cells(page, "Chinese \\(Traditional\\)") == ["1"]
    assert table(observer.get(f"{PAGE}/languages.csv").text)[1:] == [
        ["en", "2"],
        ["es", "2"],
        ["pt-BR", "1"],
        ["zh-Hant", "1"],
    ]


def test_languages_are_shown_only_if_there_are_several(observer: FlaskClient, campaign: Campaign, signed: Sign) -> None:
    def is_shown() -> bool:
        return "Languages" in observer.get(PAGE).text

    assert not is_shown()
    signed()
    assert not is_shown()
    with write_transaction() as session:
        session.add(Translation(campaign_id=campaign.id, language="es", title="Salvemos el parque"))
    assert is_shown(), "the campaign has a translation"
    with write_transaction() as session:
        session.execute(delete(Translation))
        session.execute(update(GroupCount).where(GroupCount.kind == Kind.LANGUAGE).values(name="es"))
    assert not is_shown()
    signed(email="b@example.org")
    assert is_shown(), "signers read translations that were deleted since"


def test_map_of_the_country_where_most_signers_live_is_first(observer: FlaskClient, signed: Sign) -> None:
    def maps() -> list[str]:
        return re.findall(r'<div class="map (\w+)"', observer.get(PAGE).text)

    signed(country="FR", postal_code="")
    assert maps() == ["world", "us"]
    signed(email="b@example.org")
    signed(email="c@example.org")
    assert maps() == ["us", "world"]


def test_statistics_contain_no_personal_data(observer: FlaskClient, signed: Sign) -> None:
    signed(city="Los Angeles")
    page = observer.get(PAGE).text
    for word in ("Ada", "Lovelace", "ada@", "90012", "Los Angeles"):
        assert word not in page


@pytest.mark.parametrize("role", Role)
def test_every_role_can_see_statistics_of_its_campaigns(at_desk: AtDeskAs, campaign: Campaign, role: Role) -> None:
    client = at_desk(role, own=[campaign])
    for path in ("", "/live", "/day.csv", "/languages.csv"):
        assert client.get(PAGE + path).status_code == 200


def test_organizer_cannot_see_statistics_of_other_campaigns(at_desk: AtDeskAs, campaign: Campaign) -> None:
    client = at_desk(Role.ORGANIZER)
    for path in ("", "/live", "/day.csv"):
        assert client.get(PAGE + path).status_code == 404


def test_statistics_require_sign_in(client: FlaskClient, campaign: Campaign) -> None:
    for path in ("", "/live", "/day.csv"):
        assert client.get(PAGE + path).status_code == 302


def test_page_has_no_inline_styles_or_scripts(observer: FlaskClient, signed: Sign) -> None:
    signed()
    assert not re.search(r"<style|\son\w+=|\sstyle=|<script(?! src)|xlink|kozea", observer.get(PAGE).text)


@pytest.mark.parametrize("unit", figures.Unit)
def test_chart_is_by_minute_hour_or_day(observer: FlaskClient, signed: Sign, unit: figures.Unit) -> None:
    signed()
    page = observer.get(f"{PAGE}?by={unit}").text
    assert f'aria-current="true">By {unit}</a>' in page
    assert f'<title id="times-title">Signatures by {unit}</title>' in page
    assert f"/figures/live?by={unit}" in page, "refreshes keep the unit"
    assert page.count("<rect") > {"minute": 60, "hour": 48, "day": 1}[unit]


def test_older_campaign_is_shown_by_day_at_first(observer: FlaskClient, campaign: Campaign, signed: Sign) -> None:
    signed()
    assert "Signatures by minute" in observer.get(PAGE).text
    with write_transaction() as session:
        session.execute(update(Signature).values(signed_at=datetime.now(UTC) - timedelta(days=30)))
    assert "Signatures by day" in observer.get(PAGE).text


def test_page_shows_age_of_statistics_and_missing_signatures(observer: FlaskClient, sign: Sign) -> None:
    sign()
    sign(email="b@example.org")
    page = observer.get(PAGE).text
    assert "<strong>2</strong> signed" in page, "the count is current"
    assert "Not counted yet." in page
    assert "include 0 of 2 signatures so far" in page
    assert "No signatures yet" not in page
    assert "in the last hour" not in page, "this number would be too small"
    assert "save-the-park-day-not-counted-yet.csv" in observer.get(f"{PAGE}/day.csv").headers["Content-Disposition"]
    roll_up(datetime(2027, 3, 1, 9, 30, tzinfo=UTC))
    assert "so far" not in observer.get(PAGE).text
    assert "Updated at " in observer.get(PAGE).text
    sign(email="c@example.org")
    page = observer.get(PAGE).text
    assert "As of Mar 1, 2027, 9:30" in page
    assert "include 2 of 3 signatures so far" in page
    assert cells(page, "United States") == ["2"]
    name = observer.get(f"{PAGE}/day.csv").headers["Content-Disposition"]
    assert "save-the-park-day-as-of-2027-03-01-0930-UTC.csv" in name


def test_campaign_list_says_how_many_signatures_its_trend_lacks(observer: FlaskClient, sign: Sign) -> None:
    sign()
    assert "don’t include the newest signature yet" in observer.get("/desk/").text
    sign(email="b@example.org")
    assert "don’t include the 2 newest signatures yet" in observer.get("/desk/").text
    roll_up()
    assert "newest" not in observer.get("/desk/").text


def test_unknown_unit_or_part_is_not_found(observer: FlaskClient, campaign: Campaign) -> None:
    for path in ("?by=year", "?by=", "/live?by=x", "/names.csv", "/year.csv"):
        assert observer.get(PAGE + path).status_code == 404


def test_statistics_use_the_campaigns_time_zone(observer: FlaskClient, sign: Sign) -> None:
    sign()
    with write_transaction() as session:
        session.execute(update(Campaign).values(time_zone="Asia/Kolkata"))
        session.execute(update(Signature).values(signed_at=datetime(2026, 7, 13, 18, 30, tzinfo=UTC)))
    roll_up()
    page = observer.get(f"{PAGE}?by=day").text
    assert "in the Asia/Kolkata time zone" in page
    assert cells(page, "Jul 14, 2026") == ["1"]
    assert "2026-07-14,1\r\n" in observer.get(f"{PAGE}/day.csv").text


def test_open_page_follows_new_signatures(observer: FlaskClient, campaign: Campaign, signed: Sign) -> None:
    list(fake.sign(campaign.id, 1, datetime.now(UTC) - timedelta(hours=3)))
    roll_up()
    live = f"{PAGE}/live?by=minute"
    assert f'hx-get="{live}" hx-trigger="refresh"' in observer.get(f"{PAGE}?by=minute").text
    before = observer.get(live).text
    assert before.lstrip().startswith('<div id="figures"')
    assert f'data-interval="{feed.QUIET_SECONDS}"' in before
    signed()
    after = observer.get(live).text
    assert "<strong>2</strong> signed" in after
    assert "1 in the last hour" in after
    assert f'data-interval="{feed.BUSY_SECONDS}"' in after


def table(answer: str) -> list[list[str]]:
    assert answer.startswith("\ufeff"), "Excel needs a byte-order mark"
    return list(csv.reader(answer[1:].splitlines()))


def test_every_part_can_be_downloaded_as_csv(observer: FlaskClient, client: FlaskClient, campaign: Campaign) -> None:
    for number in range(5):
        headers = {"Referer": f"http://localhost{PATH}?ref=mail"}
        client.post(f"{PATH}/signatures", data=ADA | {"email": f"{number}@example.org"}, headers=headers)
    roll_up()
    today = datetime.now(UTC).date().isoformat()
    expected = {
        "day": ["day", "signatures", today, "5"],
        "countries": ["countries", "signatures", "US", "5"],
        "states": ["states", "signatures", "California", "5"],
        "sources": ["sources", "signatures", "mail", "5"],
        "languages": ["languages", "signatures", "en", "5"],
    }
    for what, words in expected.items():
        answer = observer.get(f"{PAGE}/{what}.csv")
        assert [word for row in table(answer.text) for word in row] == words
        assert answer.mimetype == "text/csv"
        assert f'attachment; filename="save-the-park-{what}-' in answer.headers["Content-Disposition"]
    assert [len(table(observer.get(f"{PAGE}/{unit}.csv").text)) for unit in ("minute", "hour")] == [61, 49]


def test_csv_neutralizes_spreadsheet_formulas(observer: FlaskClient, sign: Sign) -> None:
    for number in range(5):
        sign(email=f"{number}@example.org")
    with write_transaction() as session:
        session.execute(update(Signature).values(source="=1+1", country="=1"))
    roll_up()
    assert table(observer.get(f"{PAGE}/sources.csv").text)[1] == ["'=1+1", "5"]


def test_sparkline_shows_the_last_day_and_has_a_label(app: Flask, publish: Publish, signed: Sign) -> None:
    signed()
    quiet = publish(slug="quiet")
    desk = app.extensions["desk"].app
    macro = desk.jinja_env.get_template("macros/figures.html").module.sparkline
    glances = figures.at_a_glance(db.session(), {quiet.id: 0}, datetime.now(UTC))
    drawing = macro(list(glances[quiet.id].hours), '"0" <today>')
    assert drawing.count("22.0") == 24
    assert 'aria-label="&#34;0&#34; &lt;today&gt;"' in drawing
    assert 'points="0,22.0 4,2.0 "' in macro([0, 5], "")
