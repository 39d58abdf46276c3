"""What the README says there is, there is; and what there is, it says."""

import dataclasses
import re
import tomllib

import pytest
from flask import Flask

from campaign import campaign_keys
from campaign.access import MAY, Right
from campaign.desk_models import Role
from campaign.settings import ROOT, Settings

README = (ROOT / "README.md").read_text()


def first_column(heading: str) -> list[str]:
    """The names in the first column of the first table under the heading."""
    section = README.partition(f"\n## {heading}\n")[2]
    rows = re.findall(r"^\|([^|]+)\|.*\|$", section.partition("\n## ")[0], re.M)[2:]
    return [name for row in rows for name in re.findall(r"[\w-]+", row)]


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [name.partition("[")[0] for name in project["dependencies"]]
    assert sorted(first_column("Dependencies")) == names
    tests = README.partition("For tests: ")[2].partition(".")[0]
    assert sorted(re.findall(r"[\w-]+", tests)) == project["optional-dependencies"]["test"]


def test_every_setting_is_explained() -> None:
    fields = [field.name.upper() for field in dataclasses.fields(Settings) if field.name != "instance"]
    assert first_column("Settings") == fields


def test_every_key_of_a_campaigns_file_is_explained() -> None:
    keys = [field.name for field in dataclasses.fields(campaign_keys.CampaignFile) if field.name != "letter"]
    assert first_column("How to write a campaign") == keys


def test_every_command_is_there_and_explained(app: Flask) -> None:
    shown = set(re.findall(r"^\.venv/bin/flask ((?:campaigns|signatures|organisers) [\w-]+)", README, re.M))
    there = {
        f"{group} {command}"
        for group in ("campaigns", "signatures", "organisers")
        for command in app.cli.commands[group].commands  # type: ignore[attr-defined]
    }
    assert shown == there


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/operate.md", "docs/organise.md"])
def test_every_file_that_is_named_is_there(document: str) -> None:
    text = (ROOT / document).read_text()
    links = [path for path in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text) if not path.startswith("http")]
    named = [(ROOT / document).parent / path for path in links]
    named += [ROOT / path for path in re.findall(r"`((?:campaign|templates|static|script|deploy)/[\w./]*)", text)]
    assert len(named) >= 3
    assert [path for path in named if not path.exists()] == []


def test_every_heading_that_is_linked_to_is_there() -> None:
    for document in ("README.md", "CHANGELOG.md", "docs/operate.md", "docs/organise.md"):
        for path, heading in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", (ROOT / document).read_text()):
            linked = (ROOT / document).parent / path if path else ROOT / document
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.M)
            # As GitHub makes anchors of them.
            assert heading in [re.sub(r"[^\w -]", "", words.lower()).replace(" ", "-") for words in headings], heading


def test_organisers_read_what_each_role_may_do() -> None:
    section = (ROOT / "docs/organise.md").read_text().partition("## Who may do what\n")[2].partition("\n## ")[0]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in re.findall(r"^\|.*\|$", section, re.M)]
    heading, rows = cells[0], cells[3:]
    rights = [
        {Right.FIGURES},
        {Right.MODERATE},
        {Right.REMOVE},
        {Right.ADDRESSES},
        {Right.DELIVER},
        {Right.CREATE, Right.WRITE},
        {Right.READ_RECORD},
        {Right.ACCOUNTS, Right.EXPORT_RECORD},
    ]
    assert set().union(*rights) == set(Right)
    for column, role in enumerate(heading[1:], 1):
        said = set().union(*(these for row, these in zip(rows, rights, strict=True) if row[column] == "yes"))
        assert said == MAY[Role(role.lower())], role
