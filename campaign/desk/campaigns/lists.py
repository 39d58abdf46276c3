"""The list of campaigns, and the download of one."""

import io
import zipfile
from datetime import UTC, datetime

from flask import Response, render_template
from flask.typing import ResponseReturnValue

from campaign.accounts import permissions
from campaign.accounts.permissions import Right
from campaign.campaigns import editing
from campaign.campaigns.files import writing
from campaign.desk.access import allow, me
from campaign.desk.campaigns.blueprint import campaigns
from campaign.models.campaign import Campaign
from campaign.signatures import tally
from campaign.statistics import figures
from campaign.storage.database import db


@campaigns.get("/")
@allow(None)
def every() -> ResponseReturnValue:
    """List the campaigns that the account has access to, newest first."""
    found = db.session.scalars(permissions.campaigns_of(me()))
    shown = sorted(found, key=lambda campaign: campaign.archived_at is not None)
    counts = {each.id: tally.count(db.session(), each.id) for each in shown}
    glances = figures.at_a_glance(db.session(), counts, datetime.now(UTC))
    rows = [(each, counts[each.id], glances[each.id]) for each in shown]
    behind = [each.coverage for each in glances.values() if each.coverage.missing]
    return render_template("desk/campaigns/campaigns.html", rows=rows, behind=behind)


@campaigns.get("/campaigns/<slug>/campaign.md")
@allow(Right.WRITE)
def download(campaign: Campaign) -> ResponseReturnValue:
    """Download the campaign as a Markdown file that includes its picture; with translations, as a ZIP file."""
    files = writing.files_of(editing.file_of(db.session(), campaign))
    if len(files) == 1:
        headers = {"Content-Disposition": f'attachment; filename="{campaign.slug}.md"'}
        return Response(files.popitem()[1], mimetype="text/markdown", headers=headers)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    headers = {"Content-Disposition": f'attachment; filename="{campaign.slug}.zip"'}
    return Response(packed.getvalue(), mimetype="application/zip", headers=headers)
