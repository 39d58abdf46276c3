"""Rights at the desk, as docs/organize.md promises them: every role at every route, and what each role's pages offer.

Nothing here uses `campaign.accounts.permissions`: expectations taken from the code would repeat its mistakes.
"""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from campaign.models.account import Account, CampaignOrganizer, Role
from campaign.models.campaign import Campaign, CampaignState
from campaign.models.export import Export, ExportState
from campaign.settings import ROOT
from campaign.storage.transactions import write_transaction
from tests.conftest import HTMX, SLUG, Publish
from tests.desk.conftest import AtDeskAs
from tests.desk.people import AtDesk
from tests.moderation.signatures import put

HAS_TO_DO_WITH = "Access to"
FIGURES = "See statistics"
LOOK = "See who signed; hide signatures and restore hidden ones"
REMOVE = "Remove signatures and restore removed ones"
ADDRESSES = "See email addresses"
DELIVER = "Create files of signatures"
WRITE = "Create, edit, publish, and close campaigns"
READ_RECORD = "Read the activity log of a campaign"
MANAGE = "Invite people, change their roles, and download the full activity log"
EVERYBODY = "every signed-in user"
"""The rows of the guide's table under "Roles and permissions", and a name for rights that every role has."""

COLUMNS = {"admin": "Admin", "organizer": "Organizer", "moderator": "Moderator", "observer": "Observer"}
"""The columns of the guide's table, by the role's name in the database."""

REFUSED = 403
"""The status for an account whose role doesn't have the right."""
NOT_THEIRS = 404
"""The status for an organizer and a campaign that isn't theirs, as if it didn't exist."""

ROUTES = [
    ("GET", "", EVERYBODY),
    ("GET", "arrive", EVERYBODY),
    ("GET", "account", EVERYBODY),
    ("GET", "account/passkey-added", EVERYBODY),
    ("POST", "account/sessions", EVERYBODY),
    ("GET", "accounts", MANAGE),
    ("POST", "accounts", MANAGE),
    ("GET", "accounts/{account}", MANAGE),
    ("POST", "accounts/{account}", MANAGE),
    ("GET", "record.csv", MANAGE),
    ("GET", "campaigns/new", WRITE),
    ("POST", "campaigns/new", WRITE),
    ("POST", "campaigns/preview", WRITE),
    ("POST", "campaigns/autosave", WRITE),
    ("GET", "campaigns/{slug}/edit", WRITE),
    ("POST", "campaigns/{slug}/edit", WRITE),
    ("POST", "campaigns/{slug}/preview", WRITE),
    ("GET", "campaigns/{slug}/messages", WRITE),
    ("GET", "campaigns/{slug}/messages/thanks", WRITE),
    ("POST", "campaigns/{slug}/autosave", WRITE),
    ("GET", "campaigns/{slug}/edit/es", WRITE),
    ("POST", "campaigns/{slug}/edit/es", WRITE),
    ("POST", "campaigns/{slug}/preview/es", WRITE),
    ("POST", "campaigns/{slug}/autosave/es", WRITE),
    ("GET", "campaigns/{slug}/edit/es/remove", WRITE),
    ("POST", "campaigns/{slug}/edit/es/remove", WRITE),
    ("GET", "campaigns/{slug}/campaign.md", WRITE),
    ("GET", "campaigns/{slug}/delete", WRITE),
    ("POST", "campaigns/{slug}/delete", WRITE),
    ("GET", "campaigns/{slug}/publish", WRITE),
    ("POST", "campaigns/{slug}/publish", WRITE),
    ("GET", "campaigns/{slug}/signatures", LOOK),
    ("POST", "campaigns/{slug}/signatures/search", LOOK),
    ("POST", "campaigns/{slug}/signatures/hide", LOOK),
    ("POST", "campaigns/{slug}/signatures/restore", LOOK),
    ("POST", "campaigns/{slug}/signatures/undo", LOOK),
    ("GET", "campaigns/{slug}/look-alikes", LOOK),
    ("POST", "campaigns/{slug}/signatures/remove", REMOVE),
    ("POST", "campaigns/{slug}/signatures/addresses", ADDRESSES),
    ("GET", "campaigns/{slug}/figures", FIGURES),
    ("GET", "campaigns/{slug}/figures/live", FIGURES),
    ("GET", "campaigns/{slug}/figures/countries.csv", FIGURES),
    ("GET", "campaigns/{slug}/deliveries", DELIVER),
    ("POST", "campaigns/{slug}/deliveries", DELIVER),
    ("GET", "campaigns/{slug}/deliveries/{export}", DELIVER),
    ("POST", "campaigns/{slug}/deliveries/{export}/file", DELIVER),
    ("GET", "campaigns/{slug}/record", READ_RECORD),
]
"""Every route of the desk's own views, and the row of the guide's table that it belongs to."""

WITHOUT_ACCOUNT = {("GET", "invitation"), ("POST", "invitation"), ("POST", "account/first-passkey")}
"""Routes that take an invitation or a password instead of a signed-in account."""


def guide() -> dict[str, dict[str, str]]:
    """Return the guide's table: the cells of each row, by the role's name in the database."""
    text = (ROOT / "docs" / "organize.md").read_text("utf-8")
    section = text.partition("## Roles and permissions\n")[2].partition("\n## ")[0]
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    heading, _, *rows = [[cell.strip() for cell in cells] for cells in lines]
    columns = {role: heading.index(name) for role, name in COLUMNS.items()}
    return {row[0]: {role: row[column] for role, column in columns.items()} for row in rows}


def may(role: str, row: str) -> bool:
    """Return whether the guide gives the role the right in this row."""
    if row == EVERYBODY:
        return True
    cell = guide()[row][role]
    assert cell in ("yes", "")
    return cell == "yes"


def status_of(client: FlaskClient, method: str, path: str, token: str) -> int:
    """Send an empty request to a path of the desk, and return the status."""
    data = {"csrf_token": token} if method == "POST" else None
    return FlaskClient.open(client, f"/desk/{path}", method=method, data=data).status_code


def is_allowed(status: int) -> bool:
    """Return whether the status shows that the view itself answered."""
    return status < 500 and status not in (400, 401, 403, 404, 405)


def ready_export(campaign: Campaign) -> int:
    """Store an export that is ready to download, and return its id."""
    now = datetime.now(UTC)
    with write_transaction() as session:
        account = session.query(Account).first()
        assert account
        options = {"purpose": "hand-over", "columns": ["name"], "only_updates": False}
        export = Export(campaign_id=campaign.id, account_id=account.id, kind="csv", options=options)
        export.state, export.asked_at, export.touched_at = ExportState.READY, now, now
        export.expires_at = now + timedelta(hours=1)
        session.add(export)
        session.flush()
        return export.id


def visit(client: AtDesk, campaign: Campaign) -> list[tuple[str, str, str, int]]:
    """Send an empty form to every route, and return method, path, row of the guide, and status."""
    values = {"slug": campaign.slug, "export": ready_export(campaign), "account": other_account()}
    token, found = client.token(), []
    for method, path, row in ROUTES:
        address = path.format(**values)
        found.append((method, address, row, status_of(client, method, address, token)))
        if path == "account/sessions":
            token = client.token()
    return found


def other_account() -> int:
    """Add an unused account, and return its id."""
    with write_transaction() as session:
        number = session.query(Account).count()
        account = Account(email=f"unused-{number}@example.org", role=Role.OBSERVER, active=True)
        account.created_at, account.fs_uniquifier = datetime.now(UTC), f"unused-{number}"
        session.add(account)
        session.flush()
        return account.id


def test_every_route_of_the_desk_is_listed(app: Flask) -> None:
    desk: Flask = app.extensions["desk"].app
    urls, named = desk.url_map.bind(""), set()
    for method, path, _ in [*ROUTES, *((*route, "") for route in WITHOUT_ACCOUNT)]:
        rule, _values = urls.match("/" + path.format(slug=SLUG, account=1, export=1), method, return_rule=True)
        named.add((method, rule.rule))
    ours = [rule for rule in desk.url_map.iter_rules() if not rule.endpoint.startswith("security.")]
    methods = {(method, rule.rule) for rule in ours for method in rule.methods or () if method in ("GET", "POST")}
    assert methods == named, "add the route to ROUTES, with the row of docs/organize.md it belongs to"
    assert {method for rule in ours for method in rule.methods or ()} <= {"GET", "HEAD", "OPTIONS", "POST"}


def test_guide_has_a_row_for_every_right_and_a_column_for_every_role() -> None:
    rows = {HAS_TO_DO_WITH, FIGURES, LOOK, REMOVE, ADDRESSES, DELIVER, WRITE, READ_RECORD, MANAGE}
    assert set(guide()) == rows
    assert set(COLUMNS) == {role.value for role in Role}


@pytest.mark.parametrize("role", COLUMNS)
@pytest.mark.slow
def test_each_role_can_use_exactly_the_routes_in_the_guide(
    app: Flask, at_desk: AtDeskAs, publish: Publish, role: str
) -> None:
    access = guide()[HAS_TO_DO_WITH][role]
    campaign = publish(state=CampaignState.OPEN if access == "all public campaigns" else CampaignState.DRAFT)
    client: AtDesk = at_desk(Role(role), own=[campaign] if access == "their own" else [])
    for method, path, row, status in visit(client, campaign):
        if may(role, row):
            assert is_allowed(status), f"{role} is refused at {method} {path}: {status}"
        else:
            assert status == REFUSED, f"{role} gets {status} at {method} {path}"


@pytest.mark.parametrize("role", COLUMNS)
@pytest.mark.slow
def test_drafts_are_hidden_from_roles_with_access_to_public_campaigns_only(
    app: Flask, at_desk: AtDeskAs, publish: Publish, role: str
) -> None:
    if guide()[HAS_TO_DO_WITH][role] != "all public campaigns":
        return
    client = at_desk(Role(role))
    at_desk(Role.ADMIN)
    for method, path, row, status in visit(client, publish(state=CampaignState.DRAFT)):
        if f"campaigns/{SLUG}" in path:
            assert status == (NOT_THEIRS if may(role, row) else REFUSED), f"{method} {path}"
    assert "Save the Park" not in client.get("/desk/").text


@pytest.mark.parametrize("state", [CampaignState.DRAFT, CampaignState.OPEN])
@pytest.mark.slow
def test_organizer_cannot_use_routes_of_other_campaigns(
    app: Flask, at_desk: AtDeskAs, publish: Publish, state: CampaignState
) -> None:
    assert [role for role in COLUMNS if guide()[HAS_TO_DO_WITH][role] == "their own"] == ["organizer"]
    client = at_desk(Role.ORGANIZER, own=[publish(slug="their-own")])
    at_desk(Role.ADMIN)
    campaign = publish(state=state, title="Another Campaign")
    with write_transaction() as session:
        owner = session.query(Account).order_by(Account.id.desc()).first()
        assert owner
        session.add(CampaignOrganizer(campaign_id=campaign.id, account_id=owner.id))
    for method, path, row, status in visit(client, campaign):
        if f"campaigns/{SLUG}" in path:
            assert status == (NOT_THEIRS if may("organizer", row) else REFUSED), f"{method} {path}"
    assert "Another Campaign" not in client.get("/desk/").text


OFFERS = [
    ("", "/desk/campaigns/new", WRITE),
    ("", "/desk/accounts", MANAGE),
    ("accounts", "/desk/record.csv", MANAGE),
    ("campaigns/{slug}/figures", "/desk/campaigns/{slug}/edit", WRITE),
    ("campaigns/{slug}/figures", "/desk/campaigns/{slug}/signatures", LOOK),
    ("campaigns/{slug}/figures", "/desk/campaigns/{slug}/figures", FIGURES),
    ("campaigns/{slug}/figures", "/desk/campaigns/{slug}/deliveries", DELIVER),
    ("campaigns/{slug}/figures", "/desk/campaigns/{slug}/record", READ_RECORD),
    ("campaigns/{slug}/signatures", "/desk/campaigns/{slug}/signatures/hide", LOOK),
    ("campaigns/{slug}/signatures", "/desk/campaigns/{slug}/signatures/restore", LOOK),
    ("campaigns/{slug}/signatures", "/desk/campaigns/{slug}/signatures/remove", REMOVE),
    ("campaigns/{slug}/signatures", "/desk/campaigns/{slug}/signatures/addresses", ADDRESSES),
]
"""Pages, the target of a link or button on each, and the row of the guide with the right that the target needs."""


@pytest.mark.parametrize("role", COLUMNS)
@pytest.mark.slow
def test_pages_offer_each_role_only_what_the_guide_lists(
    app: Flask, at_desk: AtDeskAs, campaign: Campaign, role: str
) -> None:
    put(campaign, {"email": "ada@example.org"}, {"email": "bea@mailinator.com"})
    client = at_desk(Role(role), own=[campaign] if role == "organizer" else [])
    for path, address, row in OFFERS:
        answer = client.get(f"/desk/{path.format(slug=SLUG)}")
        offered = answer.status_code == 200 and f'"{address.format(slug=SLUG)}"' in answer.text
        assert offered == may(role, row), f"{role}: {address} at /desk/{path}"
    if may(role, LOOK):
        assert ("mailinator.com" in client.get(f"/desk/campaigns/{SLUG}/look-alikes").text) == may(role, ADDRESSES)
        search = f"/desk/campaigns/{SLUG}/signatures/search"
        found = client.post(search, data={"address": "ada@example.org"}, headers=HTMX).text
        # The email search is ignored for roles that can't see email addresses, so it finds everyone.
        assert found.count('name="id"') == (1 if may(role, ADDRESSES) else 2)
