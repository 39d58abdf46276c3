"""The documents agree with the code: commands, settings, keys, packages, rights, links, and the ASVS table."""

import dataclasses
import re
import tomllib

import pytest
from flask import Flask

from campaign.accounts.permissions import MAY, Right
from campaign.campaigns import fields
from campaign.models.account import Role
from campaign.settings import ROOT, Settings

README = (ROOT / "README.md").read_text()


def first_column(heading: str) -> list[str]:
    """Return the names in the first column of the first table below a heading of the README."""
    section = README.partition(f"\n## {heading}\n")[2]
    rows = re.findall(r"^\|([^|]+)\|.*\|$", section.partition("\n## ")[0], re.M)[2:]
    return [name for row in rows for name in re.findall(r"[\w-]+", row)]


def test_readme_explains_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [name.partition("[")[0] for name in project["dependencies"]]
    assert sorted(first_column("Dependencies")) == names
    tests = README.partition("For tests: ")[2].partition(".")[0]
    assert sorted(re.findall(r"[\w-]+", tests)) == project["optional-dependencies"]["test"]


def test_readme_explains_every_setting() -> None:
    fields = [field.name.upper() for field in dataclasses.fields(Settings) if field.name != "instance"]
    assert first_column("Settings") == fields


def test_readme_explains_every_key_of_a_campaign_file() -> None:
    keys = [key for key in fields.CampaignFile.__dataclass_fields__ if key not in ("letter", "translations")]
    assert first_column("How to write a campaign") == keys


def test_readme_lists_exactly_the_commands_that_exist(app: Flask) -> None:
    shown = set(re.findall(r"^\.venv/bin/flask ((?:campaigns|signatures|organizers) [\w-]+)", README, re.M))
    existing = {
        f"{group} {command}"
        for group in ("campaigns", "signatures", "organizers")
        for command in app.cli.commands[group].commands  # type: ignore[attr-defined]
    }
    assert shown == existing


def test_readme_has_a_row_for_every_package() -> None:
    section = README.partition("\n## Where to change what\n")[2].partition("\n## ")[0]
    folders = re.findall(r"^\| `(campaign/\w+/)`", section, re.M)
    packages = [path.parent.name for path in (ROOT / "campaign").glob("*/__init__.py")]
    assert sorted(folders) == sorted(f"campaign/{name}/" for name in packages)


DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/operate.md",
    "docs/organize.md",
    "docs/translate.md",
    "docs/asvs.md",
]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_named_in_documents_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    links = [path for path in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text) if not path.startswith("http")]
    named = [(ROOT / document).parent / path for path in links]
    named += [ROOT / path for path in re.findall(r"`((?:campaign|templates|static|script|deploy)/[\w./]*)", text)]
    assert len(named) >= 3
    assert [path for path in named if not path.exists()] == []


def test_headings_linked_in_documents_exist() -> None:
    for document in ("CHANGELOG.md", *DOCUMENTS):
        for path, heading in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", (ROOT / document).read_text()):
            linked = (ROOT / document).parent / path if path else ROOT / document
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.M)
            # GitHub makes anchors from headings in this way.
            anchors = [re.sub(r"[^\w -]", "", words.lower()).replace(" ", "-") for words in headings]
            assert heading in anchors, heading


def test_organizers_guide_lists_the_rights_of_each_role() -> None:
    section = (ROOT / "docs/organize.md").read_text().partition("## Roles and permissions\n")[2].partition("\n## ")[0]
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


CHAPTERS = {
    1: [2, 9, 11, 3, 2],
    2: [3, 3, 4, 1],
    3: [0, 2, 4, 6, 5, 0, 2],
    4: [3, 1, 2, 4],
    5: [1, 3, 2, 3],
    6: [3, 12, 4, 4, 5, 3, 0, 4],
    7: [3, 4, 2, 5, 2, 2],
    8: [2, 3, 1, 1],
    9: [3, 4],
    10: [2, 2, 4, 11, 5, 2, 3],
    11: [2, 3, 3, 4, 1, 1],
    12: [3, 2, 4],
    13: [1, 5, 2, 5],
    14: [2, 4, 3],
    15: [3, 3, 7],
    16: [1, 5, 4, 3, 3],
    17: [1, 4, 2],
}
"""Number of requirements of levels 1 and 2 in each section of each chapter of OWASP ASVS 5.0.0.

Each section numbers them from 1, and those of level 3 follow. Source:
OWASP_Application_Security_Verification_Standard_5.0.0_en.csv.
"""
LEVEL_1 = 70
"""Number of these requirements that are of level 1."""


def asvs_rows() -> list[list[str]]:
    """Return the rows of the requirements in docs/asvs.md: number, level, short form, verdict, and evidence."""
    rows = re.findall(r"^\| \d+\.\d+\.\d+ \|.*\|$", (ROOT / "docs/asvs.md").read_text(), re.M)
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def test_asvs_table_has_every_requirement_of_levels_1_and_2_once_and_in_order() -> None:
    rows = asvs_rows()
    expected = [
        f"{chapter}.{section}.{number}"
        for chapter, counts in CHAPTERS.items()
        for section, count in enumerate(counts, 1)
        for number in range(1, count + 1)
    ]
    assert [row[0] for row in rows] == expected
    levels = [row[1] for row in rows]
    assert set(levels) == {"1", "2"}
    assert levels.count("1") == LEVEL_1


def test_asvs_table_gives_a_verdict_with_evidence_or_a_reason_for_every_requirement() -> None:
    for number, _level, _short, verdict, evidence in asvs_rows():
        assert verdict in ("yes", "partly", "no", "n/a"), number
        if verdict == "yes":
            assert re.search(r"`[^`]+/|`\w[\w.]+\.(?:py|txt|toml)`|\]\(", evidence), f"{number} names no file"
        assert len(evidence) >= len("No SAML"), number


def test_asvs_totals_match_the_table() -> None:
    verdicts = [row[3] for row in asvs_rows()]
    totals = re.search(r"\*\*(\d+) yes, (\d+) partly, (\d+) no, (\d+) n/a\*\*", (ROOT / "docs/asvs.md").read_text())
    assert totals
    assert [int(total) for total in totals.groups()] == [verdicts.count(v) for v in ("yes", "partly", "no", "n/a")]


@pytest.mark.parametrize("document", ["SECURITY.md", "docs/asvs.md"])
def test_every_file_and_test_named_as_evidence_exists(document: str) -> None:
    quoted = re.findall(r"`([\w./-]+)(?:::(\w+))?`", (ROOT / document).read_text())
    # A path that begins with a slash is on an operator's machine or part of a URL.
    named = [(path, test) for path, test in quoted if re.search(r"^\w.*/|\.(?:py|txt|toml)$", path)]
    assert len(named) >= 10

    def exists(path: str, test: str) -> bool:
        file = ROOT / path
        return file.exists() and (not test or re.search(rf"^def {test}\(", file.read_text(), re.M) is not None)

    assert [evidence for evidence in named if not exists(*evidence)] == []
