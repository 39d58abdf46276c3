"""Forms with too many fields, and parts with strange headers, cost little: parsing stops at the limit."""

from itertools import product

import pytest
from flask import Flask
from flask.testing import FlaskClient

from campaign.models.account import Role
from campaign.models.campaign import Campaign
from tests.attacks.bodies import MOST_BYTES, MOST_FIELDS, MULTIPART, URLENCODED, part, send
from tests.conftest import PATH, only_sqlite
from tests.desk.conftest import AtDeskAs
from tests.desk.editor import EDIT
from tests.desk.people import browser

NEW, PREVIEW, PREVIEW_NEW = "/desk/campaigns/new", f"/desk{PATH}/preview", "/desk/campaigns/preview"
NAMELESS = {
    "no name": b"form-data",
    "no name, but semicolons": b"form-data" + b";" * 1000,
    "a name that does not end": b'form-data; name="' + b'\\"' * 1000,
    "a file": b'form-data; filename="p.jpg"',
    "pieces of a name": b"form-data; name*1=a; name*2=b",
}
"""Values of a part's Content-Disposition header."""


@pytest.mark.parametrize(
    "path", [f"{PATH}/signatures", "/places", "/desk/sign-in", "/desk/account/password", EDIT, PREVIEW]
)
@only_sqlite
def test_form_with_too_many_fields_is_not_parsed(
    client: FlaskClient, campaign: Campaign, parsed: list[str], path: str
) -> None:
    # The public site accepts no chunked forms at all.
    framings = [False, True] if path.startswith("/desk") else [False]
    for field, number, chunked in product(("a=&", "&", "=&", "a&"), (MOST_FIELDS + 1, 20_000), framings):
        sent = send(client, path, (field * number).encode()[:MOST_BYTES], URLENCODED, chunked=chunked)
        assert sent.answer.status_code == 413
    assert parsed == []


@only_sqlite
def test_form_with_the_maximum_number_of_fields_is_parsed(
    client: FlaskClient, campaign: Campaign, parsed: list[str]
) -> None:
    sent = send(client, f"{PATH}/signatures", b"a=1&" * (MOST_FIELDS - 1) + b"a=1", URLENCODED)
    assert sent.answer.status_code == 422
    assert len(parsed) == MOST_FIELDS
    parsed.clear()
    one_more = send(client, f"{PATH}/signatures", b"a=1&" * MOST_FIELDS + b"a=1", URLENCODED)
    assert (one_more.answer.status_code, parsed) == (413, [])


# Werkzeug leaves the files of a form that it refuses to the garbage collector.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@only_sqlite
@pytest.mark.parametrize("value", [b"", b"\r\n", b"a"])
def test_parsing_of_many_small_parts_stops_at_the_limit(
    at_desk: AtDeskAs, campaign: Campaign, parsed: list[str], value: bytes
) -> None:
    organizer = at_desk(Role.ADMIN)
    for file in ("", "p.jpg"):
        parsed.clear()
        sent = send(organizer, EDIT, part("a", value, file=file) * 50_000, MULTIPART)
        assert sent.answer.status_code == 413
        assert len(parsed) <= MOST_FIELDS + 1
        assert sent.read <= 2 * MOST_BYTES


@only_sqlite
@pytest.mark.parametrize(
    "header", [b"X: " + b"a" * 2_000_000 + b"\r\n", b"a:\r\n" * 500_000, b"X: a\r\n b" * 200_000], ids=len
)
@pytest.mark.slow
def test_part_with_a_huge_header_is_refused(at_desk: AtDeskAs, campaign: Campaign, header: bytes) -> None:
    sent = send(at_desk(Role.ADMIN), EDIT, part("a", b"1", header=header), MULTIPART)
    assert sent.answer.status_code == 413
    assert sent.read < 600_000


@only_sqlite
@pytest.mark.parametrize("path", ["/desk/sign-in", NEW, PREVIEW_NEW])
@pytest.mark.parametrize("kind", NAMELESS)
@pytest.mark.slow
def test_part_without_a_name_is_ignored(app: Flask, at_desk: AtDeskAs, path: str, kind: str) -> None:
    body = b"--x\r\nContent-Disposition: " + NAMELESS[kind] + b"\r\n\r\nvalue\r\n"
    organizer = at_desk(Role.ORGANIZER)
    stranger = send(browser(app), path, body + b"--x--\r\n", MULTIPART).answer
    assert 400 <= stranger.status_code < 500
    named = part("csrf_token", organizer.token().encode())
    assert send(organizer, path, body + named + b"--x--\r\n", MULTIPART).answer.status_code < 500
