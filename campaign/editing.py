"""How campaigns are made, changed, opened and ended; each change in one transaction with its record.

The desk and `flask campaigns` call it in a write transaction of theirs. What a key may be is in campaign_keys.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from campaign import letter_changes, pictures, record
from campaign.campaign_keys import CampaignFile, WrongError, text
from campaign.campaigns import find, words_signed
from campaign.desk_models import CampaignOrganiser, Record
from campaign.models import Campaign, CampaignState, FormerSlug, LetterChange
from campaign.record import Actor

STEPS: dict[str, tuple[frozenset[CampaignState], CampaignState]] = {
    "publish": (frozenset({CampaignState.DRAFT}), CampaignState.OPEN),
    "close": (frozenset({CampaignState.OPEN}), CampaignState.CLOSED),
    "win": (frozenset({CampaignState.OPEN, CampaignState.CLOSED}), CampaignState.WON),
    "reopen": (frozenset({CampaignState.CLOSED, CampaignState.WON}), CampaignState.OPEN),
}
"""What an organiser does to a campaign: in which states it can be done, and what comes of it."""
REASON_LENGTH = 300


class ChangedMeanwhileError(Exception):
    """Somebody else has changed the campaign since it was read; nothing is stored."""

    def __init__(self, since: Sequence[Record]) -> None:
        """Remember what they did, oldest first."""
        super().__init__("somebody else has changed the campaign meanwhile")
        self.since = since


class NotPossibleError(ValueError):
    """The step can't be taken from the state that the campaign is in."""


def create(session: Session, by: Actor, file: CampaignFile, now: datetime) -> Campaign:
    """Make a campaign: a draft, and its maker's own.

    Raises:
        WrongError: its slug is another's.
    """
    _check_slug(session, file.slug, None)
    columns = file.columns()
    campaign = Campaign(state=CampaignState.DRAFT, created_at=now, updated_at=now, version=1, **columns)
    session.add(campaign)
    _store(session, file)
    if by.account_id is not None:
        session.add(CampaignOrganiser(campaign_id=campaign.id, account_id=by.account_id))
    after = {"version": 1} | {name: plain(value) for name, value in columns.items()}
    record.write(session, by, "campaign.create", now, campaign_id=campaign.id, after=after)
    return campaign


def edit(
    session: Session,
    by: Actor,
    campaign_id: int,
    file: CampaignFile,
    now: datetime,
    *,
    version: int | None = None,
    reason: str = "",
) -> bool:
    """Make the campaign what the file says; `version` is the one that the editor has read, None for whichever.

    The `reason` is for the public, and only asked for where the words that are signed change after somebody has signed.

    Returns:
        Whether anything has changed.

    Raises:
        ChangedMeanwhileError: the campaign is of another version by now.
        WrongError: the slug is another's, the reason is missing, or signers were promised something else.
    """
    campaign = _locked(session, campaign_id)
    check_version(session, campaign, version)
    columns = file.columns()
    before = {name: getattr(campaign, name) for name, value in columns.items() if getattr(campaign, name) != value}
    if not before:
        return False
    told = check(session, campaign, file, reason)
    if told:
        old, new = words_signed(campaign), words_signed(file)
        session.add(LetterChange(campaign_id=campaign_id, changed_at=now, reason=told, before=old, after=new))
    if file.slug != campaign.slug:
        _keep_slug(session, campaign, file.slug)
    for name in before:
        setattr(campaign, name, columns[name])
    _store(session, file)
    _write(session, by, "edit", campaign, now, before, told)
    return True


def check(session: Session, campaign: Campaign, file: CampaignFile, reason: str = "") -> str:
    """Look whether the campaign may become what the file says, before anything is stored.

    Returns:
        The reason that the public is to be told, or nothing where there is nothing to tell.

    Raises:
        WrongError: as `edit`.
    """
    if file.deliver_anonymous and not campaign.deliver_anonymous and campaign.state is not CampaignState.DRAFT:
        # Not even before the first signature: somebody may be reading the form.
        raise WrongError({"deliver_anonymous": "can only be turned on in a draft; the form has promised otherwise"})
    if file.slug != campaign.slug:
        _check_slug(session, file.slug, campaign.id)
    if words_signed(campaign) == words_signed(file) or not letter_changes.has_signatures(session, campaign.id):
        return ""
    try:
        return text(REASON_LENGTH)(reason)
    except ValueError as error:
        raise WrongError({"reason": f"{error}; it is shown to those who have signed the other words"}) from None


def take_step(
    session: Session, by: Actor, campaign_id: int, step: str, now: datetime, *, version: int | None = None
) -> bool:
    """Publish a campaign, close it, declare it won or open it again: one of STEPS.

    Returns:
        Whether anything has changed; a step that was taken before is not taken twice.

    Raises:
        ChangedMeanwhileError: the campaign is of another version than the one that was looked at.
        NotPossibleError: not from the state that it is in.
    """
    from_states, to_state = STEPS[step]
    campaign = _locked(session, campaign_id)
    if campaign.state is to_state:
        return False
    if campaign.state not in from_states:
        raise NotPossibleError(f"{campaign.slug} is {campaign.state}; that can’t be done to it")
    check_version(session, campaign, version)
    before = {"state": campaign.state}
    campaign.state = to_state
    _write(session, by, step, campaign, now, before)
    return True


@dataclass(frozen=True)
class Published:
    """What publishing a file has come to."""

    campaign: Campaign
    new: bool


def publish(session: Session, by: Actor, file: CampaignFile, now: datetime, *, reason: str = "") -> Published:
    """Create or update the campaign of a file, by its slug, and open it; a closed or won one stays so.

    Raises:
        WrongError: as `edit`.
    """
    campaign = find(session, file.slug)
    new = campaign is None
    if campaign is None:
        campaign = create(session, by, file, now)
    else:
        edit(session, by, campaign.id, file, now, reason=reason)
    if campaign.state is CampaignState.DRAFT:
        take_step(session, by, campaign.id, "publish", now)
    return Published(campaign, new)


def file_of(session: Session, campaign: Campaign) -> CampaignFile:
    """The campaign as a file that gives the same when it is published."""
    columns = {name: getattr(campaign, name) for name in CampaignFile.__dataclass_fields__}
    return CampaignFile(**columns | {"picture": pictures.find(session, campaign.picture) if campaign.picture else None})


def _locked(session: Session, campaign_id: int) -> Campaign:
    """The campaign as it is now, and nobody else's to change until the end of the transaction."""
    # SQLite has the lock already. It is one that lets signatures in (FOR NO KEY UPDATE), which refer to the campaign.
    locked = select(Campaign).where(Campaign.id == campaign_id).with_for_update(key_share=True)
    return session.scalars(locked.execution_options(populate_existing=True)).one()


def check_version(session: Session, campaign: Campaign, version: int | None) -> None:
    """Look whether the campaign is still what somebody has read; None for whatever they have read.

    Raises:
        ChangedMeanwhileError: it is not, and here is what was done.
    """
    if version is None or version == campaign.version:
        return
    entries = select(Record).where(Record.campaign_id == campaign.id, Record.action.startswith("campaign."))
    since: list[Record] = []
    for entry in session.scalars(entries.order_by(Record.id.desc())):
        # Others are no changes of the campaign itself, such as who else may change it.
        if "version" not in entry.after:
            continue
        if entry.after["version"] <= version:
            break
        session.expunge(entry)
        since.insert(0, entry)
    raise ChangedMeanwhileError(since)


def _write(
    session: Session, by: Actor, what: str, campaign: Campaign, now: datetime, before: dict[str, Any], reason: str = ""
) -> None:
    """Count the change, and put it into the record."""
    after = {name: plain(getattr(campaign, name)) for name in before}
    old = {name: plain(value) for name, value in before.items()} | {"version": campaign.version}
    campaign.version += 1
    campaign.updated_at = now
    after["version"] = campaign.version
    record.write(session, by, f"campaign.{what}", now, campaign_id=campaign.id, reason=reason, before=old, after=after)


def plain(value: object) -> object:
    """A column's value as the record has it."""
    return value.isoformat() if isinstance(value, datetime) else value


def _store(session: Session, file: CampaignFile) -> None:
    """Send it to the database.

    Raises:
        WrongError: somebody has taken the slug at this very moment.
    """
    if file.picture:
        pictures.store(session, file.picture)
    try:
        session.flush()
    except IntegrityError:
        raise WrongError({"slug": _TAKEN}) from None


_TAKEN = "is, or was, that of another campaign; choose another"


def _check_slug(session: Session, slug: str, own_id: int | None) -> None:
    """Refuse a slug that another campaign has, or had, for its addresses go on working.

    Raises:
        WrongError: it is another's.
    """
    # In one statement, so that a slug which changes hands at this moment is seen on one side or on the other.
    has = exists().where(Campaign.slug == slug, Campaign.id.is_distinct_from(own_id))
    had = exists().where(FormerSlug.slug == slug, FormerSlug.campaign_id.is_distinct_from(own_id))
    if session.scalar(select(has | had)):
        raise WrongError({"slug": _TAKEN})


def _keep_slug(session: Session, campaign: Campaign, slug: str) -> None:
    """Let the old slug work on; one's own former one may be taken again."""
    if again := session.get(FormerSlug, slug):
        session.delete(again)
    session.add(FormerSlug(slug=campaign.slug, campaign_id=campaign.id))
