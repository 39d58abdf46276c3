"""Edit conflicts as the editor shows them: who changed what since this editor loaded the form."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import reduce

from campaign.accounts import audit_log
from campaign.campaigns import translations
from campaign.campaigns.fields import TEXTS, CampaignFile
from campaign.campaigns.versions import merging
from campaign.campaigns.versions.conflicts import columns_since
from campaign.campaigns.versions.merging import Merged
from campaign.desk.access import me
from campaign.desk.campaigns import received, started_from
from campaign.desk.campaigns.form import CampaignForm
from campaign.languages.speaking import gettext, lazy_gettext
from campaign.models.audit_log import Record
from campaign.models.campaign import Campaign
from campaign.web import formatting

# translators: Stands after “by” or “of”. So do “another editor” and “the command line”.
_OWN = lazy_gettext("you in another window")


@dataclass(frozen=True)
class Found:
    """What a merge found, with names for its page."""

    campaign: Campaign
    merged: Merged
    since: Sequence[Record]
    """The audit log's entries about the changes, oldest first."""
    editors: Mapping[str, Sequence[str]]
    """Who changed each field. Empty if the log doesn't tell, because a person changed a text and changed it back."""

    def who(self, key: str) -> str:
        """Return who changed a field in the meantime."""
        names = self.editors[key] or [gettext("another editor")]
        return reduce(lambda before, name: gettext("%(names)s and %(name)s", names=before, name=name), names)

    def version_of(self, key: str) -> str:
        """Return how to call the other editors' version of a field."""
        if self.editors[key] == [str(_OWN)]:
            return gettext("Your version in the other window")
        if len(self.editors[key]) > 1:
            # Each of them may have changed other lines than these.
            return gettext("The saved version, after changes by %(who)s", who=self.who(key))
        return gettext("The version of %(who)s", who=self.who(key))

    def keeping(self, key: str) -> str:
        """Return how to call the choice of the other editors' version of a field."""
        if self.editors[key] == [str(_OWN)]:
            return gettext("Keep your version in the other window")
        if len(self.editors[key]) > 1:
            return gettext("Keep the saved version")
        return gettext("Keep the version of %(who)s", who=self.who(key))

    def label(self, key: str) -> str:
        """Return the name of a field."""
        return CampaignForm.name_of(key)

    def shown(self, key: str, value: object) -> str:
        """Return a value as the page shows it."""
        if isinstance(value, bool):
            return gettext("yes") if value else gettext("no")
        if key in ("opens_at", "closes_at") and value:
            # A forged form may have another text.
            with suppress(ValueError):
                return formatting.moment(datetime.fromisoformat(str(value)), "en", self.campaign.time_zone)
        if key == "picture":
            return gettext("a picture") if value else ""
        return str(value) if value else ""

    @property
    def summary(self) -> str:
        """What the other editors changed, such as "changes by ada@example.org: Goal, Letter"."""
        by_name: dict[str, list[str]] = {}
        for change in self.merged.theirs:
            by_name.setdefault(self.who(change.key), []).append(self.label(change.key))
        told = (
            # translators: Stands in “Saved, together with %(changes)s.”
            gettext("changes by %(who)s: %(fields)s", who=name, fields=", ".join(labels))
            for name, labels in by_name.items()
        )
        return "; ".join(told) or gettext("changes by another editor")


def find(campaign: Campaign, form: CampaignForm, mine: CampaignFile, since: Sequence[Record], tag: str = "") -> Found:
    """Merge the submitted campaign, in its editor's language, with the stored one, which other editors have changed."""
    theirs = received.stored_text(campaign, tag)
    keys = {translations.column(tag, key) if key in TEXTS else key: key for key in started_from.columns(theirs)}
    # A form without the version that it started from was sent by a page of an earlier release.
    base = started_from.decode(form.started_from.data)
    if not base:
        base = {keys[name]: value for name, value in columns_since(campaign, list(keys), since).items()}
    newer = {entry: _newer_columns(entry, {name: base[key] for name, key in keys.items()}) for entry in since}
    editors = {
        # Keep the order, and name each editor once.
        key: list(dict.fromkeys(_name(entry) for entry, columns in newer.items() if name in columns))
        for name, key in keys.items()
    }
    return Found(campaign, merging.merge(base, mine, theirs), [entry for entry in since if newer[entry]], editors)


def _newer_columns(entry: Record, base: Mapping[str, object]) -> set[str]:
    """Return the columns that an entry changed to other values than the form started from.

    An entry may be a sitting that began before this editor loaded the form, or even the form's own automatic saves.
    """
    return {
        name for name, value in entry.after.items() if name != "version" and (name not in base or base[name] != value)
    }


def _name(entry: Record) -> str:
    if entry.account_id == me().id:
        return str(_OWN)
    return gettext("the command line") if entry.actor == audit_log.COMMAND.name else entry.actor
