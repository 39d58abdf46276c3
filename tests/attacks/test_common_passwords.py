"""New passwords that are easy to guess are refused, and the message says what to do."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from campaign.models.account import Role
from tests.conftest import only_sqlite
from tests.desk.conftest import AtDeskAs
from tests.desk.people import PASSWORD, browser, enter_password, invitation, token_of

pytestmark = only_sqlite

COMMON = [
    "password1234",
    "Password1234",
    "PASSWORD1234",
    "qwertyuiop123",
    "123456789012",
    "iloveyou1234",
    "q1w2e3r4t5y6",
]


def accept_with(app: Flask, password: str, email: str = "grace@example.org", name: str = "Grace Hopper") -> str:
    """Accept an invitation with this password, and return the page with errors, or "" without errors."""
    client, link = browser(app), invitation(app, email, "organizer")
    form = {"csrf_token": token_of(client.get(link).text), "name": name, "password": password, "again": password}
    answer = FlaskClient.post(client, link, data=form)
    assert answer.status_code in (303, 422)
    return answer.text if answer.status_code == 422 else ""


@pytest.mark.parametrize("password", [*COMMON, "ｐａｓｓｗｏｒｄ１２３４", "1qaz2wsx3edc", "correcthorsebatterystaple"])
@pytest.mark.slow
def test_common_password_is_refused_with_an_invitation(app: Flask, password: str) -> None:
    page = accept_with(app, password)
    assert "Many people use this password" in page
    assert "three or four unrelated words" in page
    assert password not in page


@pytest.mark.parametrize("password", COMMON)
@pytest.mark.slow
def test_password_cannot_be_changed_to_a_common_one(at_desk: AtDeskAs, password: str) -> None:
    client = at_desk(Role.ORGANIZER)
    form = {"password": PASSWORD, "new_password": password, "new_password_confirm": password}
    answer = client.post("/desk/account/password", data=form)
    assert answer.status_code == 422
    assert "Many people use this password" in answer.text


@pytest.mark.parametrize(
    "password",
    [
        "campaign2026!",
        "Petition-Petition",
        "grace.hopper@example.org",
        "HopperGrace1906",
        "ＨｏｐｐｅｒＧｒａｃｅ１９０６",
        "graceexample12",
        "GRACE-HOPPER-1906",
        "Password 1234",
        "admiral_admiral_1",
    ],
)
def test_password_of_known_words_is_refused(app: Flask, password: str) -> None:
    page = accept_with(app, password, name="Admiral Hopper")
    assert "mostly a name, an email address, or a commonly tried word" in page


@pytest.mark.slow
def test_site_name_counts_as_a_known_word(app: Flask, at_desk: AtDeskAs) -> None:
    client = at_desk(Role.ORGANIZER)
    name = app.config["SETTINGS"].site_name
    for new in (f"{name} {name} {name}", f"organizer@{name}.org"):
        form = {"password": PASSWORD, "new_password": new, "new_password_confirm": new}
        answer = client.post("/desk/account/password", data=form)
        assert "mostly a name" in answer.text, new


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "grace likes three purple turtles",
        "campaign-9mXq2LpV",
        "vier wörter pass phräse",
        "橘子苹果香蕉葡萄西瓜草莓",
    ],
)
@pytest.mark.slow
def test_password_that_is_hard_to_guess_is_accepted(app: Flask, password: str) -> None:
    assert accept_with(app, password) == ""
    assert enter_password(browser(app), "grace@example.org", password).status_code == 302


def test_long_or_special_name_does_not_break_the_password_check(app: Flask) -> None:
    assert "Shorten “Your name”" in accept_with(app, "correct horse battery", name="correct horse battery " * 2000)
    assert accept_with(app, "correct horse battery", name=". * + ( [") == ""
