"""What an organiser writes and publishes: campaign files, and what is said of one that can't be used."""

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient, FlaskCliRunner
from sqlalchemy import select

from campaign import campaign_file
from campaign.campaign_file import CampaignFileError
from campaign.extensions import db
from campaign.models import Campaign, CampaignState
from campaign.settings import ROOT
from tests.conftest import PATH, SLUG, Publish, Sign, stored

KEYS = {
    "slug": SLUG,
    "title": "Save the Park",
    "category": "Environment",
    "summary": "The council wants to sell it.",
    "addressees": "[The Mayor, The Council]",
    "goal": "100",
    "thanks": "You did a good thing.",
    "share_text": "I signed for the park.",
    "donate_url": "https://donate.example/park",
    "donate_text": "We live from donations.",
    "language": "en",
}
LETTER = "Dear Mayor,\n\nplease *keep* the park.\n"


def text(*, letter: str = LETTER, **changes: str | None) -> str:
    """A campaign's file with KEYS but for what is given; without the keys that are None."""
    keys = {key: value for key, value in (KEYS | changes).items() if value is not None}
    return "---\n" + "".join(f"{key}: {value}\n" for key, value in keys.items()) + f"---\n{letter}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "park.md"
    path.write_text(text())
    return path


def campaigns() -> list[Campaign]:
    db.session.rollback()
    return list(db.session.scalars(select(Campaign)))


def test_publishing_creates_and_publishing_again_updates_with_every_signature_kept(
    client: FlaskClient, runner: FlaskCliRunner, file: Path
) -> None:
    first = runner.invoke(args=["campaigns", "publish", str(file)])
    assert (first.exit_code, first.output) == (0, f"published {SLUG}\n")
    page = client.get(PATH).text
    for words in ("Environment", "Save the Park", "The Mayor", "The Council", "please <em>keep</em> the park."):
        assert words in page
    client.post(f"{PATH}/signatures", data={"name": "Ada", "email": "ada@example.org", "country": "FR"})

    file.write_text(
        text(letter="Dear Council,\n\nkeep the park.\n", title="Keep the Park", donate_url=None, donate_text=None)
    )
    second = runner.invoke(args=["campaigns", "publish", "--reason", "The mayor has resigned", str(file)])
    assert (second.exit_code, second.output) == (0, f"updated {SLUG}\n")
    page = client.get(PATH).text
    assert "Keep the Park" in page
    assert "Dear Council" in page
    assert "Dear Mayor" not in page
    assert "The mayor has resigned" in page
    assert [signature.name for signature in stored()] == ["Ada"]
    assert '<p id="count"><strong>1</strong>' in page
    (campaign,) = campaigns()
    assert campaign.created_at < campaign.updated_at


@pytest.mark.parametrize("state", [CampaignState.CLOSED, CampaignState.WON])
def test_a_campaign_that_has_ended_is_not_opened_by_mending_its_letter(
    runner: FlaskCliRunner, publish: Publish, file: Path, state: CampaignState
) -> None:
    publish(state=state)
    assert runner.invoke(args=["campaigns", "publish", str(file)]).exit_code == 0
    assert [campaign.state for campaign in campaigns()] == [state]


def test_a_draft_is_opened_by_publishing_it(
    client: FlaskClient, runner: FlaskCliRunner, publish: Publish, file: Path
) -> None:
    publish(state=CampaignState.DRAFT)
    assert client.get(PATH).status_code == 404
    runner.invoke(args=["campaigns", "publish", str(file)])
    assert client.get(PATH).status_code == 200


def test_opening_and_closing_times_may_have_any_zone(file: Path) -> None:
    file.write_text(text(opens_at="2027-03-01T09:00:00+01:00", closes_at="2027-04-01T00:00:00Z"))
    read = campaign_file.read(file)
    assert read.opens_at is not None
    assert read.opens_at.isoformat() == "2027-03-01T08:00:00+00:00"
    assert read.closes_at is not None
    assert read.closes_at.isoformat() == "2027-04-01T00:00:00+00:00"


def test_what_may_be_left_out_has_a_default(file: Path) -> None:
    file.write_text(text(language=None, donate_url=None, donate_text=None))
    read = campaign_file.read(file)
    assert (read.language, read.donate_url, read.donate_text) == ("en", "", "")
    assert (read.opens_at, read.closes_at) == (None, None)


MISSING = ["slug", "title", "category", "summary", "addressees", "goal", "thanks", "share_text"]
BROKEN = {
    "slug with capitals": (text(slug="Save-The-Park"), "slug: must be made of small letters"),
    "slug with two hyphens": (text(slug="save--park"), "slug: must be made of small letters"),
    "slug too long": (text(slug="a" * 81), "slug: must have 80 characters or fewer, and has 81"),
    "slug a number": (text(slug="2027"), "slug: must be text, not 2027; put it in quotes"),
    "title too long": (text(title="T" * 201), "title: must have 200 characters or fewer"),
    "title a list": (text(title="[a, b]"), "title: must be text, not ['a', 'b']"),
    "category too long": (text(category="C" * 61), "category: must have 60 characters or fewer"),
    "summary too long": (text(summary="S" * 501), "summary: must have 500 characters or fewer"),
    "addressee a number": (text(addressees="[1]"), "addressees: must be text, not 1"),
    "nobody addressed": (text(addressees="[]"), "addressees: is missing"),
    "goal of nothing": (text(goal="0"), "goal: must be a whole number above 0, not 0"),
    "goal in words": (text(goal="many"), "goal: must be a whole number above 0, not 'many'"),
    "goal a fraction": (text(goal="10.5"), "goal: must be a whole number above 0, not 10.5"),
    "goal a yes": (text(goal="yes"), "goal: must be a whole number above 0, not True"),
    "thanks too long": (text(thanks="T" * 1001), "thanks: must have 1000 characters or fewer"),
    "share text too long": (text(share_text="S" * 301), "share_text: must have 300 characters or fewer"),
    "donate address a script": (text(donate_url="javascript:alert(1)"), "donate_url: must be an address that begins"),
    "donate address without host": (text(donate_url="https://"), "donate_url: must be an address that begins"),
    "donate address without words": (text(donate_text=None), "donate_text: is missing; donate_url needs a sentence"),
    "donate text too long": (text(donate_text="D" * 301), "donate_text: must have 300 characters or fewer"),
    "language unknown": (text(language="klingon"), "language: must be a language tag such as en, de or pt-BR"),
    "language in CLDR's spelling": (text(language="pt_BR"), "language: must be a language tag such as en, de or pt-BR"),
    "time without zone": (text(opens_at="2027-03-01T09:00:00"), "opens_at: must be a date, a time and a zone"),
    "date alone": (text(closes_at="2027-03-01"), "closes_at: must be a date, a time and a zone"),
    "closes before it opens": (
        text(opens_at="2027-03-01T09:00:00Z", closes_at="2027-03-01T09:00:00Z"),
        "closes_at: must be later than opens_at",
    ),
    "a control character": (text(title='"a\\x01b"'), "title: holds a control character"),
    "half a character": (text(share_text='"x\\ud800"'), "share_text: holds a control character"),
    "what is no character": (text(title='"x\\uFFFE"'), "title: holds a control character"),
    "step below nothing": (text(goal_step="-1"), "goal_step: must be 0 or a whole number, not -1"),
    "zone unknown": (text(time_zone="Mars/Olympus"), "time_zone: must be a time zone such as Europe/Berlin or UTC"),
    "time before the web": (text(opens_at="0001-01-01T00:00:00Z"), "opens_at: must be in a year from 2000 to 2999"),
    "picture gone": (text(picture="gone.jpg", picture_text="A tree"), "picture: can’t be read: No such file or dir"),
    "picture a text": (text(picture="park.md", picture_text="A tree"), "picture: must be a whole JPEG, PNG or WebP"),
    "picture a list": (text(picture="[a, b]"), "picture: must be the name of a file"),
    "picture not in base64": (text(picture='"data:,x"'), "picture: must be in base64 where it is a data: URL"),
    "picture of broken base64": (text(picture='"data:;base64,x"'), "picture: is no whole data: URL"),
    "anonymous in words": (text(deliver_anonymous="perhaps"), "deliver_anonymous: must be yes or no, not 'perhaps'"),
    "letter above": (text().replace("title:", "letter: y\ntitle:"), "letter: is not a key that a campaign has"),
    "letter too long": (text(letter="x" * 50_001), "letter: must have 50000 characters or fewer, and has 50001"),
    "letter with a control character": (text(letter="a\x01b"), "letter: holds a control character"),
    "unknown key": (text(colour="red"), "colour: is not a key that a campaign has"),
    "key twice": (text().replace("title:", "title: Another\ntitle:"), "front matter: title is given twice in line 4"),
    "no letter": (text(letter="\n"), "letter: is missing"),
    "no front matter": (LETTER, "front matter: is missing; the file begins with a line of ---"),
    "broken YAML": (text(title='"Save'), "front matter: "),
    "front matter a list": ("---\n- a\n---\nb", "front matter: "),
    **{f"{key} missing": (re.sub(rf"(?m)^{key}:.*\n", "", text()), f"{key}: is missing") for key in MISSING},
    **{f"{key} empty": (re.sub(rf"(?m)^{key}:.*", f"{key}:", text()), f"{key}: is missing") for key in MISSING},
}


@pytest.mark.parametrize(("content", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_refused_in_one_line_that_names_file_key_and_reason(
    runner: FlaskCliRunner, publish: Publish, file: Path, content: str, reason: str
) -> None:
    publish(title="As it was")
    file.write_text(content)
    answer = runner.invoke(args=["campaigns", "publish", str(file)])
    assert answer.exit_code == 1
    assert answer.output.startswith(f"Error: {file}: {reason}")
    assert answer.output.count("\n") == 1
    assert [campaign.title for campaign in campaigns()] == ["As it was"]


def test_a_file_that_cannot_be_read_is_named(file: Path) -> None:
    with pytest.raises(CampaignFileError, match=r"gone\.md: file: No such file or directory"):
        campaign_file.read(file.with_name("gone.md"))
    file.write_bytes(text(title="Café").encode("latin-1"))
    with pytest.raises(CampaignFileError, match=r"park\.md: file: is not UTF-8 text"):
        campaign_file.read(file)


def test_of_several_files_all_are_published_or_none(runner: FlaskCliRunner, file: Path) -> None:
    broken = file.with_name("broken.md")
    broken.write_text(text(slug="other", goal="0"))
    answer = runner.invoke(args=["campaigns", "publish", str(file), str(broken)])
    assert (answer.exit_code, campaigns()) == (1, [])
    broken.write_text(text(slug="other"))
    answer = runner.invoke(args=["campaigns", "publish", str(file), str(broken)])
    assert (answer.exit_code, answer.output) == (0, f"published {SLUG}\npublished other\n")


def test_a_signed_letter_is_changed_by_a_file_only_with_a_reason(
    client: FlaskClient, runner: FlaskCliRunner, sign: Sign, file: Path
) -> None:
    sign()
    file.write_text(text(title="Sell the Park"))
    answer = runner.invoke(args=["campaigns", "publish", str(file)])
    told = f"Error: {file}: --reason: is missing; it is shown to those who have signed the other words\n"
    assert (answer.exit_code, answer.output) == (1, told)
    assert "Sell the Park" not in client.get(PATH).text
    # What is not signed may change as before.
    file.write_text(text(thanks="Thank you."))
    assert runner.invoke(args=["campaigns", "publish", str(file)]).exit_code == 0


def test_two_files_with_one_slug_are_refused_since_one_would_be_lost(runner: FlaskCliRunner, file: Path) -> None:
    twin = file.with_name("twin.md")
    twin.write_text(text(title="Another"))
    answer = runner.invoke(args=["campaigns", "publish", str(file), str(twin)])
    assert (answer.exit_code, campaigns()) == (1, [])
    assert answer.output == f"Error: {twin}: slug: is also the slug of {file}\n"


def test_the_sample_is_the_petition_to_amazon_ring() -> None:
    (path,) = (ROOT / "campaigns").glob("*.md")
    sample = campaign_file.read(path)
    assert sample.title == "Tell Amazon Ring to End Its Dangerous Police Partnerships"
    assert sample.category == "Privacy"
    assert [line.split(",")[0] for line in sample.addressees.splitlines()] == ["Jeff Bezos", "Jamie Siminoff"]
    for fact in (
        "1,300",
        "Black\nAmericans",
        "Media Justice",
        "Color of Change",
        "Markey",
        "Neighbors",
        "Rekognition",
        "IBM",
    ):
        assert fact in sample.letter + sample.summary
    assert "free and open" in sample.thanks
    assert sample.donate_url
    assert "donations" in sample.donate_text
