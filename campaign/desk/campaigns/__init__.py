"""Campaigns at the desk: listing, writing, previewing, publishing, and closing them.

`lists.py` has the list of campaigns, `editor.py` the editor, and `steps.py` the steps, such as publishing. `form.py`
has the editor's form, `received.py` reads a submitted one, and `page.py` renders the editor. `translations.py` adds and
removes translations. `autosave.py` saves drafts while their editor types. `started_from.py` and `conflicts.py` are for
two editors at the same time. `messages.py` shows the messages to signers. `blueprint.py` has what all templates share.
The rules for changing a campaign are in `campaign/campaigns/`.
"""

from campaign.desk.campaigns import (  # noqa: F401 (registers their views)
    autosave,
    editor,
    lists,
    messages,
    steps,
    translations,
)
from campaign.desk.campaigns.blueprint import campaigns

__all__ = ["campaigns"]
