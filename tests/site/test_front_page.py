"""The list of petitions, and what the operator's settings change on public pages."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from campaign.models.campaign import Campaign, CampaignState
from campaign.settings import Settings
from tests.conftest import PATH, Publish, Sign

Change = Callable[..., None]


@pytest.fixture
def change(app: Flask, settings: Settings) -> Change:
    """Return a function that changes settings of the running site."""

    def change(**values: Any) -> None:
        app.config["SETTINGS"] = replace(settings, **values)

    return change


def test_home_lists_a_single_open_campaign_if_the_operator_wants_a_list(
    client: FlaskClient, publish: Publish, change: Change
) -> None:
    publish()
    assert client.get("/").location == PATH
    change(site_home="list")
    answer = client.get("/")
    assert answer.status_code == 200
    assert f'<a href="{PATH}">Save the Park</a>' in answer.text
    assert "public" in answer.headers["Cache-Control"]


def test_only_open_campaign_links_to_the_others(client: FlaskClient, publish: Publish) -> None:
    publish()
    publish(CampaignState.WON, slug="bikes", title="More bikes")
    assert client.get("/").location == PATH
    assert '<a href="/campaigns">All petitions</a>' in client.get(PATH).text
    listed = client.get("/campaigns").text
    for words in ("Save the Park", "More bikes"):
        assert words in listed
    assert 'rel="canonical" href="http://127.0.0.1:8000/campaigns"' in listed


def test_campaign_without_others_links_to_no_list(client: FlaskClient, publish: Publish) -> None:
    publish()
    publish(CampaignState.DRAFT, slug="bikes")
    assert "All petitions" not in client.get(PATH).text


def test_sign_form_starts_with_the_organizations_country(
    client: FlaskClient, campaign: Campaign, change: Change
) -> None:
    assert " selected>" not in client.get(PATH).text
    change(site_country="US")
    answer = client.get(PATH)
    assert re.findall(r'<option value="(\w\w)" selected>', answer.text) == ["US"]
    assert "public" in answer.headers["Cache-Control"]


def test_chosen_country_is_kept_after_an_error(client: FlaskClient, sign: Sign, change: Change) -> None:
    change(site_country="US")
    answer = sign(name="", country="DE")
    assert answer.status_code == 422
    assert re.findall(r'<option value="(\w\w)" selected>', answer.text) == ["DE"]


def test_form_without_a_country_is_not_completed(client: FlaskClient, sign: Sign, change: Change) -> None:
    change(site_country="US")
    answer = sign(country="")
    assert answer.status_code == 422
    assert "Choose your country" in answer.text
    assert not re.findall(r'<option value="(\w\w)" selected>', answer.text)
