"""Publishing campaigns from files, and the errors for invalid files."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask.testing import FlaskClient, FlaskCliRunner
from sqlalchemy import select

from campaign.accounts.audit_log import COMMAND
from campaign.campaigns import editing, lookup
from campaign.campaigns.files import reading
from campaign.campaigns.files.reading import MOST_UNKNOWN, CampaignFileError
from campaign.models.campaign import Campaign, CampaignState
from campaign.settings import ROOT
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from tests.conftest import FILE, PATH, SLUG, Publish, Sign, stored

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
    """Return a campaign file with KEYS and these changes; a key whose value is None is left out."""
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


@pytest.mark.slow
def test_publishing_again_updates_a_campaign_and_keeps_its_signatures(
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
def test_publishing_does_not_reopen_an_ended_campaign(
    runner: FlaskCliRunner, publish: Publish, file: Path, state: CampaignState
) -> None:
    publish(state=state)
    assert runner.invoke(args=["campaigns", "publish", str(file)]).exit_code == 0
    assert [campaign.state for campaign in campaigns()] == [state]


def test_publishing_opens_a_draft(client: FlaskClient, runner: FlaskCliRunner, publish: Publish, file: Path) -> None:
    publish(state=CampaignState.DRAFT)
    assert client.get(PATH).status_code == 404
    runner.invoke(args=["campaigns", "publish", str(file)])
    assert client.get(PATH).status_code == 200


def test_opening_and_closing_times_may_have_any_time_zone(file: Path) -> None:
    file.write_text(text(opens_at="2027-03-01T09:00:00+01:00", closes_at="2027-04-01T00:00:00Z"))
    read = reading.read(file)
    assert read.opens_at is not None
    assert read.opens_at.isoformat() == "2027-03-01T08:00:00+00:00"
    assert read.closes_at is not None
    assert read.closes_at.isoformat() == "2027-04-01T00:00:00+00:00"


def test_optional_keys_have_defaults(file: Path) -> None:
    optional = ("category", "addressees", "share_text", "donate_url", "donate_text", "language")
    file.write_text("".join(line for line in text().splitlines(True) if line.split(":")[0] not in optional))
    read = reading.read(file)
    assert [getattr(read, key) for key in optional] == ["", "", "", "", "", "en"]
    assert (read.opens_at, read.closes_at) == (None, None)


REQUIRED = {
    "slug": "Enter a name for the page’s URL",
    "title": "Enter a title",
    "summary": "Enter a summary",
    "goal": "Enter the goal, such as 1000",
    "thanks": "Enter a thank-you text",
}
PICTURE = {"picture": "tree.jpg", "picture_text": "A tree"}
BROKEN = {
    "slug with capitals": (text(slug="Save-The-Park"), "slug: Use only lowercase letters"),
    "slug with two hyphens": (text(slug="save--park"), "slug: Use only lowercase letters"),
    "slug too long": (text(slug="a" * 81), "slug: Shorten the slug to 80 characters or fewer. Now it has 81"),
    "title too long": (text(title="T" * 201), "title: Shorten the title to 200 characters or fewer. Now it has 201"),
    "title a list": (text(title="[a, b]"), "title: Write the title as text, not as a list"),
    "title cut by a comment": (text(title="Park #1 of the city"), "title: Put the text on line 3 in quotes"),
    "addressee cut by a comment": (text(addressees="\n- The Mayor #1"), "addressees: Put the text on line 7 in quotes"),
    "share text that is a comment": (text(share_text="#SaveThePark"), "share_text: Put the text on line 9 in quotes"),
    "category too long": (text(category="C" * 61), "category: Shorten the category to 60 characters or fewer"),
    "summary too long": (text(summary="S" * 1001), "summary: Shorten the summary to 1,000 characters or fewer"),
    "addressees are keys": (text(addressees="{a: b}"), "addressees: Write the list of addressees as text, not as keys"),
    "addressee too long": (text(addressees="A" * 201), "addressees: Shorten the name of each addressee to 200"),
    "goal of nothing": (text(goal="0"), "goal: Enter a goal from 1 to 1,000,000,000, not 0"),
    "goal in words": (text(goal="many"), "goal: Enter the goal as a whole number in digits, such as 1000, not 'many'"),
    "goal a fraction": (
        text(goal="10.5"),
        "goal: Enter the goal as a whole number in digits",
    ),
    "goal a yes": (text(goal="yes"), "goal: Enter the goal as a whole number in digits, such as 1000, not 'yes'"),
    "thanks too long": (text(thanks="T" * 1001), "thanks: Shorten the thank-you text to 1,000 characters or fewer"),
    "share text too long": (text(share_text="S" * 301), "share_text: Shorten the share text to 300 characters or"),
    "donate address a script": (text(donate_url="javascript:alert(1)"), "donate_url: Enter a full web address"),
    "donate address without host": (text(donate_url="https://"), "donate_url: Enter a full web address"),
    "donate address on this site": (text(donate_url="/donate"), "donate_url: Enter a full web address, like https://"),
    "donate text too long": (text(donate_text="D" * 301), "donate_text: Shorten the donation text to 300 characters"),
    "language unknown": (text(language="klingon"), "language: Enter a language tag such as en, de, or pt-BR"),
    "language in CLDR's spelling": (text(language="pt_BR"), "language: Enter a language tag such as en, de, or pt-BR"),
    "time without zone": (text(opens_at="2027-03-01T09:00:00"), "opens_at: Enter date, time, and UTC offset"),
    "date alone": (text(closes_at="2027-03-01"), "closes_at: Enter date, time, and UTC offset"),
    "closes before it opens": (
        text(opens_at="2027-03-01T09:00:00Z", closes_at="2027-03-01T09:00:00Z"),
        "closes_at: Enter a closing time that is later than the opening time",
    ),
    "a control character": (text(title='"a\\x01b"'), "title: Remove the control character U+0001 (SOH)"),
    "half a character": (text(share_text='"x\\ud800"'), "share_text: Remove the half character U+D800"),
    "what is no character": (text(title='"x\\uFFFE"'), "title: Remove the noncharacter U+FFFE"),
    "step below nothing": (text(goal_step="-1"), "goal_step: Enter the goal step as a whole number in digits"),
    "zone unknown": (text(time_zone="Mars/Olympus"), "time_zone: Enter a time zone such as Europe/Berlin or UTC"),
    "time before the web": (
        text(opens_at="0001-01-01T00:00:00Z"),
        "opens_at: Enter a time in a year from 2000",
    ),
    "picture gone": (text(**PICTURE), "picture: The picture can’t be read: No such file or directory"),
    "picture a text": (
        text(picture="park.md", picture_text="A tree"),
        "picture: The picture must be an undamaged JPEG, PNG, or WebP. Save it again",
    ),
    "picture a list": (text(**PICTURE | {"picture": "[a, b]"}), "picture: Write the name of the picture as text"),
    "picture not in base64": (text(**PICTURE | {"picture": '"data:,x"'}), "picture: Encode the picture in base64"),
    "picture of broken base64": (
        text(**PICTURE | {"picture": '"data:;base64,x"'}),
        "picture: Copy the picture’s",
    ),
    "anonymous in words": (text(deliver_anonymous="perhaps"), "deliver_anonymous: Answer yes or no, not 'perhaps'"),
    "letter above": (text().replace("title:", "letter: y\ntitle:"), "letter: Write the letter below the front matter"),
    "letter too long": (text(letter="x" * 50_001), "letter: Shorten the letter to 50,000 characters or fewer"),
    "letter with a control character": (
        text(letter="a\n\nb\x01"),
        "letter: Remove the control character U+0001 (SOH) at character 2 of line 3 of the letter",
    ),
    "letter with a relative link": (
        text(letter="a\n\n[our page](/foo)"),
        "letter: Enter a full web address, like https://example.org/page, for the link “our page” on line 3 ('/foo')",
    ),
    "letter with a table": (text(letter="a|b\n-|-"), "letter: Write a list instead of the table on line 1."),
    "unknown key": (text(color="red"), "color: Correct or remove this key. Campaigns have no such key"),
    "key twice": (
        text().replace("title:", "title: Another\ntitle:"),
        "front matter: Line 4 has the key title a second time. Remove one of them",
    ),
    "no letter": (text(letter="\n"), "letter: Write the letter below the front matter"),
    "no front matter": (LETTER, "front matter: Start the file with a line of ---"),
    "no end of the front matter": (text().rstrip("-")[:40], "front matter: End the front matter with a line of ---"),
    "broken YAML": (text(title='"Save'), "front matter: Line "),
    "text with a colon": (text(title="Stop: save the park"), "front matter: Line 3 is not valid YAML: mapping values"),
    "front matter a list": ("---\n- a\n---\nb", "front matter: Write the front matter as keys with values"),
    "front matter a text": ("---\na\n---\nb", "front matter: Write the front matter as keys with values"),
    **{f"{key} missing": (re.sub(rf"(?m)^{key}:.*\n", "", text()), f"{key}: {why}") for key, why in REQUIRED.items()},
    **{
        f"{key} empty": (re.sub(rf"(?m)^{key}:.*", f"{key}:", text()), f"{key}: {why}") for key, why in REQUIRED.items()
    },
}


def errors_of(path: Path) -> list[str]:
    """Return the lines of a file's error, without the file name."""
    with pytest.raises(CampaignFileError) as error:
        reading.read(path)
    lines = str(error.value).split("\n")
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


@pytest.mark.parametrize(("content", "reason"), BROKEN.values(), ids=BROKEN)
def test_invalid_file_is_refused_in_one_line_with_key_and_reason(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "park.md"
    path.write_text(content)
    (line,) = errors_of(path)
    assert line.startswith(reason)


def test_file_with_an_error_is_not_published(runner: FlaskCliRunner, publish: Publish, file: Path) -> None:
    publish(title="As it was")
    file.write_text(text(goal="0"))
    answer = runner.invoke(args=["campaigns", "publish", str(file)])
    assert answer.exit_code == 1
    assert answer.output == f"Error: {file}: goal: Enter a goal from 1 to 1,000,000,000, not 0\n"
    assert [campaign.title for campaign in campaigns()] == ["As it was"]


def test_all_errors_are_reported_at_once(runner: FlaskCliRunner, publish: Publish, file: Path) -> None:
    times = {"opens_at": "2027-03-02T00:00:00Z", "closes_at": "2027-03-01T00:00:00Z"}
    file.write_text(text(title=None, goal="many", color="red", donate_url="/donate", picture="gone.jpg", **times))
    publish(slug="taken")
    publish(slug="moved")
    with write_transaction() as session:
        (moved,) = (each for each in lookup.all_campaigns(session) if each.slug == "moved")
        editing.edit(session, COMMAND, moved.id, replace(FILE, slug="new-home"), datetime.now(UTC))
    other = file.with_name("other.md")
    other.write_text(text(slug="taken", deliver_anonymous="yes", summary=None))
    third = file.with_name("third.md")
    third.write_text(text(slug="moved"))
    answer = runner.invoke(args=["campaigns", "publish", str(file), str(other), str(third)])
    assert answer.exit_code == 1
    found = [line.removeprefix("Error: ").split(": ")[:2] for line in answer.output.splitlines()]
    keys = ["color", "title", "goal", "donate_url", "picture", "closes_at", "picture_text"]
    expected = [(file, key) for key in keys] + [(other, "summary"), (other, "deliver_anonymous"), (third, "slug")]
    assert sorted(map(tuple, found)) == sorted((str(path), key) for path, key in expected)


def test_number_of_unknown_keys_that_are_reported_is_limited(file: Path) -> None:
    file.write_text(text(**{f"key{number}": "1" for number in range(100)}))
    lines = errors_of(file)
    assert len(lines) == MOST_UNKNOWN + 1
    assert f"front matter: Remove {100 - MOST_UNKNOWN} more keys that campaigns don’t have" in lines


def test_notice_says_how_a_value_was_understood(runner: FlaskCliRunner, file: Path) -> None:
    file.write_text(text(goal="010", donate_url="www.example.org", category="~"))
    answer = runner.invoke(args=["campaigns", "publish", str(file)])
    assert (answer.exit_code, answer.output.splitlines()) == (
        0,
        [
            f"Note: {file}: category: Line 4 says ~, which was read as no value",
            f"Note: {file}: goal: Line 7 says '010', which was read as 10",
            f"Note: {file}: donate_url: Line 10 says 'www.example.org', which was read as https://www.example.org",
            f"published {SLUG}",
        ],
    )


def test_unreadable_file_is_named_in_the_error(file: Path) -> None:
    with pytest.raises(CampaignFileError, match=r"gone\.md: file: The file can’t be read: No such file or directory"):
        reading.read(file.with_name("gone.md"))
    file.write_bytes(text(title="Café").encode("latin-1"))
    with pytest.raises(CampaignFileError, match=r"park\.md: file: The file is not UTF-8 text. Save it in UTF-8"):
        reading.read(file)


def test_several_files_are_published_together_or_not_at_all(runner: FlaskCliRunner, file: Path) -> None:
    broken = file.with_name("broken.md")
    broken.write_text(text(slug="other", goal="0"))
    answer = runner.invoke(args=["campaigns", "publish", str(file), str(broken)])
    assert (answer.exit_code, campaigns()) == (1, [])
    broken.write_text(text(slug="other"))
    answer = runner.invoke(args=["campaigns", "publish", str(file), str(broken)])
    assert (answer.exit_code, answer.output) == (0, f"published {SLUG}\npublished other\n")


def test_changing_a_signed_letter_needs_a_reason(
    client: FlaskClient, runner: FlaskCliRunner, sign: Sign, file: Path
) -> None:
    sign()
    file.write_text(text(title="Sell the Park"))
    answer = runner.invoke(args=["campaigns", "publish", str(file)])
    error = f"Error: {file}: --reason: Enter a reason. People who signed the earlier text will see it\n"
    assert (answer.exit_code, answer.output) == (1, error)
    assert "Sell the Park" not in client.get(PATH).text
    # Fields that people don't sign may change without a reason.
    file.write_text(text(thanks="Thank you."))
    assert runner.invoke(args=["campaigns", "publish", str(file)]).exit_code == 0


def test_two_files_with_the_same_slug_are_refused(runner: FlaskCliRunner, file: Path) -> None:
    twin = file.with_name("twin.md")
    twin.write_text(text(title="Another"))
    answer = runner.invoke(args=["campaigns", "publish", str(file), str(twin)])
    assert (answer.exit_code, campaigns()) == (1, [])
    assert answer.output == f"Error: {twin}: slug: Choose another slug, because {file} has it, too\n"


def test_sample_is_the_petition_to_amazon_ring() -> None:
    [sample] = [file.campaign for file in reading.read_all((ROOT / "campaigns").glob("*.md"))]
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
