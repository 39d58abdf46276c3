"""The signatures of a campaign, seen from the desk: the table, hiding and removing, addresses, look-alikes.

What is searched for comes by POST alone: names and addresses would else stand in logs and in the browser's history.
What changes something is answered with the table as it is then, not with a redirect, for the same reason; sent twice,
it changes nothing more.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, abort, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict
from wtforms import BooleanField, DateField, Field, Form, SelectField, StringField
from wtforms.validators import Optional, ValidationError

from campaign import lookalikes, moderation, places, record, signature_table, sources, tally
from campaign import search as search_index
from campaign.access import Right
from campaign.desk.door import allow, by, can
from campaign.extensions import STORAGE_ERRORS, db, write_transaction
from campaign.models import Campaign, Standing
from campaign.moderation import Action, Done
from campaign.signature_table import Filter, Page

signatures = Blueprint("signatures", __name__)

REASON_LENGTH = 500
_IN_ADDRESS = ("standing", "country", "since", "until", "anonymous", "source")
"""The fields of the filter that may stand in a page's address."""
_DONE = {Action.HIDE: "hidden", Action.REMOVE: "removed", Action.RESTORE: "restored"}


def _shown(text: str | None) -> str:
    return "".join(character for character in text or "" if character.isprintable()).strip()


def _year(_form: Form, field: Field) -> None:
    if field.data and not 2000 <= field.data.year <= 2100:
        raise ValidationError("Enter a date between 2000 and 2100")


class FilterForm(Form):  # type: ignore[misc]  # WTForms publishes no types.
    """Which signatures to show."""

    words = StringField("Name or place", filters=[_shown])
    address = StringField("Email address", filters=[_shown])
    standing = SelectField("State", choices=[("", "All"), *((one, one.capitalize()) for one in Standing)], default="")
    country = SelectField("Country", default="")
    since = DateField("Signed from", [Optional(), _year])
    until = DateField("Signed until", [Optional(), _year])
    anonymous = SelectField("Listed", choices=[("", "All"), ("yes", "Anonymously"), ("no", "By name")], default="")
    source = StringField("Source", filters=[_shown])

    def __init__(self, campaign: Campaign, chosen: MultiDict[str, str]) -> None:
        """Read what was chosen. Who may not see addresses can't search by them either."""
        super().__init__(chosen)
        self.campaign_id, self.zone = campaign.id, campaign.time_zone
        self.country.choices = [("", "All"), *places.countries("en").items()]
        if not can(Right.ADDRESSES, campaign):
            del self.address

    def validate_source(self, field: Field) -> None:
        """Let nobody look for whom a word was made."""
        if field.data and not sources.several(db.session(), self.campaign_id, [field.data]):
            raise ValidationError("Fewer than five came by that word; it could be one person’s, so it is not shown")

    def filter(self) -> Filter:
        """What was chosen; to be asked of a form that is valid."""
        since: date | None = self.since.data
        until: date | None = self.until.data
        return Filter(
            standing=Standing(self.standing.data) if self.standing.data else None,
            country=self.country.data,
            since=signature_table.day(since, self.zone) if since else None,
            until=signature_table.day(until + timedelta(days=1), self.zone) if until else None,
            anonymous={"yes": True, "no": False}.get(self.anonymous.data),
            source=self.source.data,
            words=self.words.data,
            address=self.address.data if "address" in self else "",
        )

    def kept(self) -> dict[str, str]:
        """What was chosen, as fields."""
        return {name: str(data) for name, data in self.data.items() if data}

    def in_address(self) -> dict[str, Any]:
        """The part of it that may stand in a page's address."""
        return {name: data for name, data in self.kept().items() if name in _IN_ADDRESS}


class ActForm(Form):  # type: ignore[misc]
    """What to do something with, and why."""

    everyone = BooleanField("All that match, not only those ticked")
    reason = StringField("Reason", filters=[_shown])

    def __init__(self, sent: MultiDict[str, str]) -> None:
        """Read what was sent."""
        super().__init__(sent)
        self.ids = _numbers(sent.getlist("id"))

    def validate_everyone(self, field: Field) -> None:
        """Somebody must be meant."""
        if not field.data and not self.ids:
            raise ValidationError("Tick the signatures that you mean")

    def validate_reason(self, field: Field) -> None:
        """There must be one."""
        if not field.data:
            raise ValidationError("Give a reason; it is kept in the record")
        if len(field.data) > REASON_LENGTH:
            raise ValidationError(f"The reason must have {REASON_LENGTH} characters or fewer")


def _numbers(words: list[str]) -> list[int]:
    return [int(word) for word in words if word.isascii() and word.isdigit() and len(word) <= 18]


@dataclass(frozen=True)
class Notice:
    """What was done, above the table."""

    words: str
    entries: tuple[int, ...]
    """Of the record: what can be undone."""
    fault: bool
    """Whether the rest could not be done."""


@signatures.get("/campaigns/<slug>/signatures")
@allow(Right.MODERATE)
def table(campaign: Campaign) -> ResponseReturnValue:
    """The signatures, newest first."""
    chosen = MultiDict((name, request.args[name]) for name in _IN_ADDRESS if name in request.args)
    return _answer(campaign, FilterForm(campaign, chosen), request.args.get("before"))


@signatures.post("/campaigns/<slug>/signatures/search")
@allow(Right.MODERATE)
def search(campaign: Campaign) -> ResponseReturnValue:
    """The same, for what is searched for; where nothing is, the page has an address."""
    form, before = FilterForm(campaign, request.form), request.form.get("next")
    if not _is_htmx() and form.validate() and form.kept() == form.in_address():
        return redirect(url_for(".table", slug=campaign.slug, before=before, **form.in_address()), 303)
    return _answer(campaign, form, before)


@signatures.post("/campaigns/<slug>/signatures/hide")
@allow(Right.MODERATE)
def hide(campaign: Campaign) -> ResponseReturnValue:
    """Take signatures off the public list; they are still counted."""
    return _act(campaign, Action.HIDE)


@signatures.post("/campaigns/<slug>/signatures/remove")
@allow(Right.REMOVE)
def remove(campaign: Campaign) -> ResponseReturnValue:
    """Take signatures off the list and out of the count."""
    return _act(campaign, Action.REMOVE)


@signatures.post("/campaigns/<slug>/signatures/restore")
@allow(Right.MODERATE)
def restore(campaign: Campaign) -> ResponseReturnValue:
    """Show hidden signatures again, and take removed ones back in."""
    return _act(campaign, Action.RESTORE)


def _act(campaign: Campaign, action: Action) -> ResponseReturnValue:
    form, act, before = FilterForm(campaign, request.form), ActForm(request.form), _before()
    if not form.validate() or not act.validate():
        return _answer(campaign, form, before, act=act)
    who, may_remove, now = by(), can(Right.REMOVE, campaign), datetime.now(UTC)
    reason: str = act.reason.data
    if act.everyone.data:
        done = moderation.act_on_all(who, campaign.id, action, form.filter(), reason, now, may_remove=may_remove)
    else:
        with write_transaction() as session:
            done = moderation.act(session, who, campaign.id, action, act.ids, reason, now, may_remove=may_remove)
    notice = _noticed(done, _DONE[action], done.entries)
    return _answer(campaign, form, before, act=act if done.fault else None, notice=notice)


@signatures.post("/campaigns/<slug>/signatures/undo")
@allow(Right.MODERATE)
def undo(campaign: Campaign) -> ResponseReturnValue:
    """Put signatures back as they were."""
    form, before, entries = FilterForm(campaign, request.form), _before(), _numbers(request.form.getlist("entry"))
    who, may_remove = by(), can(Right.REMOVE, campaign)
    try:
        done = moderation.undo_all(who, campaign.id, entries, datetime.now(UTC), may_remove=may_remove)
    except moderation.NotAllowedError:
        abort(403)
    except moderation.NoSuchEntryError:
        abort(404)
    # What is put back already is left as it is.
    notice = _noticed(done, "put back", tuple(entries) if done.fault else ())
    return _answer(campaign, form, before, notice=notice)


def _noticed(done: Done, what: str, to_undo: tuple[int, ...]) -> Notice:
    if done.fault:
        current_app.logger.error("the database could not be used", exc_info=done.fault)
    return Notice(_said(done, what), to_undo, done.fault is not None)


def _said(done: Done, what: str) -> str:
    words = f"{done.changed:,} {'signature' if done.changed == 1 else 'signatures'} {what}."
    if done.left:
        words += f" {done.left:,} left as {'it is' if done.left == 1 else 'they are'}."
    if done.fault:
        return words + " The rest could not be stored, and is as it was. Please do it again in a minute."
    if done.changed >= moderation.MOST:
        words += " That is as many as can be done at once; do it again for the rest."
    return words


@signatures.post("/campaigns/<slug>/signatures/addresses")
@allow(Right.ADDRESSES)
def addresses(campaign: Campaign) -> ResponseReturnValue:
    """This page with its email addresses, once; whose were shown is in the record."""
    form, before, who = FilterForm(campaign, request.form), _before(), by()
    if not form.validate():
        return _answer(campaign, form, before)
    _catch_up(form)
    with write_transaction() as session:
        page = _page(session, campaign, form, before, with_addresses=True)
        # What was searched for may be a name or an address, which the record must not keep.
        asked = form.in_address() | ({"searched": True} if form.kept() != form.in_address() else {})
        after = {"shown": page.ids, "filter": asked, "page": before or "first"}
        record.write(session, who, "signature.addresses", datetime.now(UTC), campaign_id=campaign.id, after=after)
    return _answer(campaign, form, before, page=page)


@signatures.get("/campaigns/<slug>/look-alikes")
@allow(Right.MODERATE)
def look_alikes(campaign: Campaign) -> ResponseReturnValue:
    """What may be worth a look among the newest."""
    findings = lookalikes.find(db.session(), campaign.id, with_domains=can(Right.ADDRESSES, campaign))
    zone = ZoneInfo(campaign.time_zone)
    return render_template(
        "desk/look_alikes.html", campaign=campaign, findings=findings, zone=zone, looked_at=lookalikes.LOOKED_AT
    )


def _answer(
    campaign: Campaign,
    form: FilterForm,
    before: str | None,
    *,
    page: Page | None = None,
    act: ActForm | None = None,
    notice: Notice | None = None,
) -> ResponseReturnValue:
    """The table: for HTMX alone, for others with all that is around it; 422 if a form has errors.

    503 if not all could be done.
    """
    valid, behind = form.validate(), False
    if valid and page is None:
        try:
            _catch_up(form)
        except STORAGE_ERRORS:
            # What is in the index can be found also while nothing can be written.
            current_app.logger.exception("the search index could not be brought up to date")
            behind = True
    page = page or (_page(db.session(), campaign, form, before) if valid else None)
    words = {entry.source for entry in page.entries} if page else set()
    html = render_template(
        "desk/_signature_table.html" if _is_htmx() else "desk/signatures.html",
        campaign=campaign,
        form=form,
        page=page,
        shown_sources=sources.several(db.session(), campaign.id, words),
        before=before,
        act=act or ActForm(MultiDict()),
        live=_is_htmx(),
        notice=notice,
        behind=behind,
        counted=None if form.kept() else tally.count(db.session(), campaign.id),
        zone=ZoneInfo(campaign.time_zone),
    )
    if notice and notice.fault:
        return html, 503
    return html, 200 if valid and (act is None or not act.errors) else 422


def _page(session: Session, campaign: Campaign, form: FilterForm, before: str | None, **how: bool) -> Page:
    try:
        return signature_table.page(session, campaign.id, form.filter(), before, **how)
    except ValueError:
        abort(404)


def _catch_up(form: FilterForm) -> None:
    if form.filter().searches:
        search_index.catch_up()


def _before() -> str | None:
    """The cursor of the page that the form stands on."""
    return request.form.get("before") or None


def _is_htmx() -> bool:
    return request.headers.get("HX-Request") == "true"
