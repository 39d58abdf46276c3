"""Hostile campaign files are refused in one line and at little cost, and can't read other folders."""

import json
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskCliRunner

from campaign.campaigns import fields
from campaign.campaigns.field_checks import MOST_ADDRESSEES
from campaign.campaigns.fields import InvalidCampaignError
from campaign.campaigns.files import reading, writing
from campaign.campaigns.files.reading import MOST_BYTES, CampaignFileError
from campaign.campaigns.files.regular_files import MOST_PICTURE_BYTES
from campaign.campaigns.pictures import preparing
from campaign.models.account import Role
from campaign.settings import ROOT
from tests.campaigns.test_pictures import uploaded
from tests.cli.test_publishing import text
from tests.conftest import FILE
from tests.desk.conftest import AtDeskAs

MOST_MEMORY = 64 * MOST_BYTES
"""The most bytes of memory that reading a file may add to a process. PyYAML needs several per character."""
MOST_LINE = 600
"""The most characters of an error message, without the file name."""

LONG = "x" * 300_000
ALIASES = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE = {
    "alias bomb": text(title=f"\n{ALIASES}"),
    "alias": text(category="&c Privacy", summary="*c"),
    "anchor without alias": text(category="&c Privacy"),
    "alias without anchor": text(category="*" + LONG),
    "merged keys": text().replace("title:", "<<: {goal: 5}\ntitle:"),
    "nested lists": text(title="[" * 150_000),
    "nested mappings": text(title="{a: " * 200_000),
    "nested complex keys": text(title="\n" + "? " * 130_000),
    "nested list items": text(title="\n" + "- " * 130_000),
    "many keys": text().replace("title:", "".join(f"k{number}: 1\n" for number in range(30_000)) + "title:"),
    "many addressees": text(addressees=f"[{'a,' * 130_000}]"),
    "more addressees than allowed": text(addressees=f"[{'a,' * (MOST_ADDRESSEES + 1)}]"),
    "long unknown key": text().replace("title:", f'"{LONG}": 1\ntitle:'),
    "long key twice": text().replace("title:", f'"{LONG[:900]}": 1\n"{LONG[:900]}": 1\ntitle:'),
    "long slug": text(slug=LONG),
    "slug of accented letters": text(slug=f"'{'é' * 79}'"),
    "long title": text(title=LONG),
    "long list as title": text(title=f"[{LONG}, {LONG[:9]}]"),
    "long zone": text(time_zone=LONG),
    "long language": text(language="e" * 20),
    "long URL": text(donate_url=f"javascript:{'x' * 480}"),
    "long opening time": text(opens_at=LONG),
    "long text for a boolean": text(deliver_anonymous=LONG),
    "long text for a goal": text(goal=LONG),
    "long picture name": text(picture=LONG, picture_text="A tree"),
    "an endless number": text(goal="1" * 300_000),
    "a number of 5000 digits": text(goal="1" * 5000),
    "an endless hexadecimal number": text(goal="0x" + "f" * 300_000),
    "an endless sexagesimal number": text(goal="1" + ":1" * 130_000),
    "an endless sexagesimal fraction": text(goal="1" + ":1" * 130_000 + ".5"),
    "a fraction that is infinite": text(goal=".inf"),
    "not a number": text(goal=".nan"),
    "a large fraction": text(goal="1.0e+999"),
    "an empty hexadecimal number": text(goal="0x_"),
    "an empty binary number": text(goal="0b_"),
    "a 13th month": text(opens_at="2027-13-01T00:00:00Z"),
    "a 25th hour": text(opens_at="2027-01-01T25:00:00Z"),
    "a zone that does not exist": text(opens_at="2027-01-01T00:00:00+99:99"),
    "the year 0": text(opens_at="0000-01-01T00:00:00Z"),
    "the latest time": text(opens_at="9999-12-31T23:59:59-23:59"),
    "the earliest time": text(opens_at="0001-01-01T00:00:00+23:59"),
    "a Python object": text(title="!!python/object/apply:os.system ['true']"),
    "a Python name": text(title="!!python/name:os.system"),
    "a tag that does not match": text(goal="!!bool perhaps"),
    "a tagged time": text(opens_at="!!timestamp never"),
    "an empty tagged number": text(goal='!!int ""'),
    "a tagged set": text(title="!!set {a, b}"),
    "binary data": text(title="!!binary aGVsbG8="),
    "an unknown tag": text(title="!park x"),
    "a long tag handle": text(title=f"!{LONG}!x y"),
    "a list as key": text().replace("title:", "[a, b]: 1\ntitle:"),
    "a mapping as key": text().replace("title:", "{a: b}: 1\ntitle:"),
    "a number as key": text().replace("title:", "5: 1\ntitle:"),
    "a boolean as key": text().replace("title:", "yes: 1\ntitle:"),
    "a key called content": text().replace("title:", "content: 1\ntitle:"),
    "a key called handler": text().replace("title:", "handler: 1\ntitle:"),
    "a list as key twice": text().replace("title:", "[a]: 1\n[a]: 2\ntitle:"),
    "a NUL": text(title='"a\\0b"'),
    "a bare NUL": text(title="a\0b"),
    "a NUL in a picture's name": text(picture='"a\\0b"', picture_text="A tree"),
    "a lone surrogate in a picture's name": text(picture='"a\\ud800b"', picture_text="A tree"),
    "a NUL in the letter": text(letter="a\0b"),
    "two documents": text(title="a\n...\n%YAML 1.1"),
    "many directives": "---\n" + "%FOO bar\n" * 30_000 + "---\nx",
    "many dashes": "-" * 300_000 + "\n" + LONG[:9],
    "dashes and spaces": "---" + " " * 300_000 + "x",
    "an endless letter": text(letter=LONG),
    "an endless file": text(letter="x" * 2 * MOST_BYTES),
    "an embedded picture that is text": text(picture=f"data:;base64,{'eHh4' * 200_000}", picture_text="A tree"),
}


READ_ALL = """
import json, resource, sys
from pathlib import Path
from campaign.campaigns.files import reading

size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + int(sys.argv[2]),) * 2)
results = {}
for path in Path(sys.argv[1]).iterdir():
    try:
        results[path.name] = repr(reading.read(path))
    except reading.CampaignFileError as error:
        results[path.name] = str(error)
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def hostile_errors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the error for each HOSTILE file, read by a process with at most MOST_MEMORY more memory."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, content in HOSTILE.items():
        (folder / name).write_text(content, encoding="utf-8", errors="surrogatepass")
    command = [sys.executable, "-c", READ_ALL, str(folder), str(MOST_MEMORY)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    errors: dict[str, str] = json.loads(done.stdout)
    return {name: line.removeprefix(f"{folder / name}: ") for name, line in errors.items()}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.slow
def test_hostile_file_is_refused_in_one_line_at_little_cost(hostile_errors: dict[str, str], name: str) -> None:
    key, _, reason = hostile_errors[name].partition(": ")
    assert key in ("file", "front matter", "content", "handler", "5", "yes", "<<", *fields.CHECKS)
    assert reason
    assert "\n" not in reason
    assert len(reason) < MOST_LINE


def refusal(path: Path) -> str:
    """Return the error for a file, without the file name."""
    with pytest.raises(CampaignFileError) as error:
        reading.read(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1", "utf-7"])
def test_file_in_another_encoding_is_refused(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "park.md"
    path.write_text(text(title="Café", slug="Ä"), encoding=encoding)
    assert "UTF-8" in refusal(path) or encoding == "utf-7"


def test_file_with_a_byte_order_mark_and_windows_line_ends_is_read(tmp_path: Path) -> None:
    path = tmp_path / "park.md"
    path.write_bytes(b"\xef\xbb\xbf" + text().replace("\n", "\r\n").encode())
    assert reading.read(path).letter == "Dear Mayor,\n\nplease *keep* the park."


@pytest.mark.slow
def test_randomly_changed_file_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    chance, path = random.Random(12), tmp_path / "park.md"  # noqa: S311
    signs = "&*!<>|%@`'\"[]{},:?-=~#\\\n\t \0é0x1e.\u2028\ufeff"
    whole = text(opens_at="2027-03-01T09:00:00+01:00", goal_step="5", deliver_anonymous="no")
    refused: list[str] = []
    for _ in range(600):
        content = whole
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(content))
            content = content[:at] + "".join(chance.choices(signs, k=chance.randrange(4))) + content[at + 1 :]
        path.write_text(content, encoding="utf-8")
        try:
            reading.read(path)
        except CampaignFileError as error:
            refused.append(str(error))
    assert len(refused) > 50
    lines = [line for message in refused for line in message.split("\n")]
    assert all(line.startswith(f"{path}: ") and len(line) < MOST_LINE for line in lines)


@pytest.mark.slow
def test_largest_downloadable_campaign_can_be_published(tmp_path: Path) -> None:
    picture = preparing.prepare(uploaded())
    names = "\n".join(["\N{GRINNING FACE}" * 20] * MOST_ADDRESSEES)
    words = {"letter": "\N{GRINNING FACE}" * 50_000, "thanks": '"\\' * 500, "addressees": names}
    file = type(FILE)(**vars(FILE) | words | {"picture": picture, "picture_text": "A tree"})
    (tmp_path / "park.md").write_text(writing.write(file), encoding="utf-8")
    assert reading.read(tmp_path / "park.md") == file


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def device(path: Path) -> Path:
    path.symlink_to("/dev/zero")
    return path


ODD_FILES: dict[str, Callable[[Path], Path]] = {
    "a pipe": pipe,
    "a folder": folder,
    "a link to an endless device": device,
    "an endless device": lambda _: Path("/dev/zero"),
    "a random device": lambda _: Path("/dev/urandom"),
}


@pytest.mark.parametrize("make", ODD_FILES.values(), ids=ODD_FILES)
def test_special_file_is_not_read_as_a_campaign(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    assert refusal(make(tmp_path / "park.md")) == "file: Use a regular file, not a folder, pipe, or device"


def with_picture(folder: Path, picture: str) -> Path:
    path = folder / "park.md"
    path.write_text(text(picture=f'"{picture}"', picture_text="A tree"))
    return path


@pytest.mark.parametrize("make", [pipe, folder, device])
def test_special_file_is_not_read_as_a_picture(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    make(tmp_path / "tree.jpg")
    assert refusal(with_picture(tmp_path, "tree.jpg")).startswith("picture: ")


@pytest.mark.parametrize(
    "name",
    ["../tree.jpg", "/dev/zero", "./tree.jpg", "pictures/tree.jpg", "..", ".", "/", "//tree.jpg", "~/tree.jpg"],
)
def test_picture_outside_the_campaign_files_folder_is_not_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "tree.jpg").write_bytes(uploaded())
    inner = tmp_path / "campaigns"
    (inner / "pictures").mkdir(parents=True)
    (inner / "pictures" / "tree.jpg").write_bytes(uploaded())
    (inner / "tree.jpg").write_bytes(uploaded())
    message = refusal(with_picture(inner, name))
    assert message == "picture: Enter the name of a file in the same folder, without a path"


def test_symbolic_link_to_a_picture_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(uploaded())
    inner = tmp_path / "campaigns"
    inner.mkdir()
    (inner / "tree.jpg").symlink_to(tmp_path / "secret.jpg")
    message = refusal(with_picture(inner, "tree.jpg"))
    assert message == "picture: The picture can’t be read: It is a symbolic link. Replace it with the picture"


def test_picture_in_the_same_folder_is_read_up_to_the_size_limit(tmp_path: Path) -> None:
    path = with_picture(tmp_path, "tree.jpg")
    (tmp_path / "tree.jpg").write_bytes(uploaded())
    assert reading.read(path).picture is not None
    os.truncate(tmp_path / "tree.jpg", MOST_PICTURE_BYTES + 1)
    with pytest.raises(CampaignFileError, match="picture: Use a file of 25 MB or less"):
        reading.read(path)


@pytest.mark.parametrize("name", ["alias bomb", "nested lists", "an endless sexagesimal fraction"])
def test_publish_command_reports_a_hostile_file_in_one_line(runner: FlaskCliRunner, tmp_path: Path, name: str) -> None:
    path = tmp_path / "park.md"
    path.write_text(HOSTILE[name])
    for hostile in (path, Path("/dev/zero"), pipe(tmp_path / "pipe"), tmp_path):
        result = runner.invoke(args=["campaigns", "publish", str(hostile)])
        assert (result.exit_code, result.output.count("\n")) == (1, 1)
        assert result.output.startswith(f"Error: {hostile}: ")


@pytest.mark.parametrize("key", [key for key in fields.CHECKS if key not in ("picture", "letter")])
@pytest.mark.parametrize(
    "value", [["x" * 100_000] * 9, "x" * 100_000, {"a": "b" * 100_000}], ids=["list", "text", "keys"]
)
def test_error_messages_shorten_long_values(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=r".+") as error:
        fields.CHECKS[key](value)
    assert len(str(error.value)) < MOST_LINE


@pytest.mark.slow
def test_number_of_addressees_is_limited_at_the_desk(at_desk: AtDeskAs) -> None:
    typed = {key: value for key, value in vars(FILE).items() if isinstance(value, str)}
    typed |= {"goal": "100", "addressees": "a\n" * (MOST_ADDRESSEES + 1)}
    answer = at_desk(Role.ADMIN).post("/desk/campaigns/new", data=typed)
    assert answer.status_code == 422
    assert "Enter 1,000 addressees or fewer. Now there are 1,001" in answer.text
    with pytest.raises(InvalidCampaignError):
        fields.check(vars(FILE) | {"addressees": ["a"] * (MOST_ADDRESSEES + 1)})


def test_sample_campaign_is_within_the_limits() -> None:
    [sample] = reading.read_all((ROOT / "campaigns").glob("*.md"))
    assert sample.is_valid


def broken_copies(empty: Path, path: Path) -> dict[str, Any]:
    return {
        "a text": lambda: path.write_text("hello"),
        "zeros": lambda: path.write_bytes(bytes(100_000)),
        "another database": lambda: changed(path, "CREATE TABLE other (id INTEGER)"),
        "an endless table": lambda: changed(
            path,
            "DROP TABLE former_slug",
            "CREATE VIEW former_slug AS WITH RECURSIVE n(slug, campaign_id) AS "
            "(SELECT 'a', 1 UNION ALL SELECT slug, 1 FROM n) SELECT * FROM n",
            copy_of=empty,
        ),
        "an invalid time": lambda: changed(path, CAMPAIGN.format(state="open", time="never"), copy_of=empty),
        "an invalid state": lambda: changed(
            path, "PRAGMA ignore_check_constraints = ON", CAMPAIGN.format(state="stolen", time=TIME), copy_of=empty
        ),
    }


TIME = "2027-01-01 00:00:00.000000"
CAMPAIGN = (
    "INSERT INTO campaign (id, slug, title, category, summary, addressees, letter, thanks, share_text, donate_url, "
    "donate_text, goal, language, state, created_at, updated_at) "
    "VALUES (1, 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', '', '', 1, 'en', '{state}', '{time}', '{time}')"
)


def changed(path: Path, *statements: str, copy_of: Path | None = None) -> None:
    if copy_of:
        path.write_bytes(copy_of.read_bytes())
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


@pytest.mark.parametrize("kind", broken_copies(Path(), Path()))
def test_hostile_database_is_refused_with_a_one_line_error(
    runner: FlaskCliRunner, empty_sqlite: Path, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "theirs.sqlite"
    broken_copies(empty_sqlite, path)[kind]()
    result = runner.invoke(args=["copy-from", str(path)])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1
    assert len(result.output) < MOST_LINE
