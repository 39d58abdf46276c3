"""Views of deliveries: request a file of signatures, follow its progress, and download it."""

from collections.abc import Iterable
from datetime import UTC, datetime

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from wtforms import BooleanField, SelectField, SelectMultipleField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import ValidationError

from campaign.accounts.permissions import Right
from campaign.deliveries import contents, exports, queue
from campaign.deliveries.contents import Order, Purpose, Sorting
from campaign.deliveries.exports import Kind
from campaign.desk.access import allow, by, notice
from campaign.languages.speaking import gettext, lazy_gettext, ngettext
from campaign.models.campaign import Campaign
from campaign.models.lease import is_worker_running
from campaign.self_service import withdrawals
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from campaign.web.form_checks import OneErrorPerField

deliveries = Blueprint("deliveries", __name__)

KINDS = {
    Kind.BOOK: lazy_gettext("PDF book"),
    Kind.SPREADSHEET: lazy_gettext("spreadsheet"),
    Kind.CSV: lazy_gettext("CSV file"),
}
PURPOSES = {Purpose.HAND_OVER: lazy_gettext("for the recipient"), Purpose.OURS: lazy_gettext("for internal use")}
BUTTONS = {
    Kind.BOOK: lazy_gettext("Create PDF book"),
    Kind.SPREADSHEET: lazy_gettext("Create spreadsheet"),
    Kind.CSV: lazy_gettext("Create CSV file"),
}
REQUESTED = {
    (Kind.BOOK, Purpose.HAND_OVER): lazy_gettext("You requested a PDF book for the recipient."),
    (Kind.SPREADSHEET, Purpose.HAND_OVER): lazy_gettext("You requested a spreadsheet for the recipient."),
    (Kind.SPREADSHEET, Purpose.OURS): lazy_gettext("You requested a spreadsheet for internal use."),
    (Kind.CSV, Purpose.HAND_OVER): lazy_gettext("You requested a CSV file for the recipient."),
    (Kind.CSV, Purpose.OURS): lazy_gettext("You requested a CSV file for internal use."),
}
TYPES = {
    Kind.BOOK: "application/pdf",
    Kind.SPREADSHEET: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Kind.CSV: "text/csv; charset=utf-8",
}
SORTINGS = {Sorting.TIME: lazy_gettext("By time, oldest first"), Sorting.NAME: lazy_gettext("By name, as written")}
COLUMNS = {
    "name": lazy_gettext("Name"),
    "email": lazy_gettext("Email address"),
    "city": lazy_gettext("City"),
    "region": lazy_gettext("State or region"),
    "country": lazy_gettext("Country"),
    "postal_code": lazy_gettext("Postal code"),
    "wants_updates": lazy_gettext("Wants updates"),
    "source": lazy_gettext("Source"),
    "language": lazy_gettext("Language"),
    "signed_on": lazy_gettext("Date signed"),
    "signed_at": lazy_gettext("Time signed"),
}


class DeliveryForm(FlaskForm):  # type: ignore[misc]
    """The form for requesting a file. The page has one for each purpose."""

    Meta = OneErrorPerField

    columns = SelectMultipleField(lazy_gettext("Columns"))
    only_updates = BooleanField(lazy_gettext("Only people who want updates"))
    names_hidden = BooleanField(lazy_gettext("Name signatures that are hidden from the public list"))
    sorting = SelectField(
        lazy_gettext("Order of signatures"),
        choices=[SelectChoice(sorting.value, words) for sorting, words in SORTINGS.items()],
        default=Sorting.TIME.value,
    )
    grouped = BooleanField(lazy_gettext("Group signatures by country, and by state in the United States"))
    kind = SelectField(lazy_gettext("Kind"))

    def __init__(self, purpose: Purpose) -> None:
        """Fill in the submitted values if the request is for this purpose; otherwise, select every column."""
        sent = request.form if request.form.get("purpose") == purpose else None
        super().__init__(sent, data=None if sent else {"columns": contents.COLUMNS[purpose]})
        self.purpose = purpose
        kinds = [kind for kind in KINDS if kind is not Kind.BOOK or purpose is Purpose.HAND_OVER]
        self.kind.choices = [SelectChoice(kind.value, BUTTONS[kind]) for kind in kinds]
        self.columns.choices = [SelectChoice(name, COLUMNS[name]) for name in contents.COLUMNS[purpose]]
        self.columns.id = f"columns-{purpose}"
        self.only_updates.id = f"only-updates-{purpose}"
        self.kind.id = f"kind-{purpose}"

    def validate_columns(self, field: SelectMultipleField) -> None:
        """Require at least one column, except for a book, whose columns are fixed."""
        if not field.data and self.kind.data != Kind.BOOK:
            raise ValidationError(gettext("Choose at least one column"))

    def order(self) -> Order:
        """Return the options of the requested file."""
        columns = contents.COLUMNS[self.purpose] if self.kind.data == Kind.BOOK else self.columns.data
        return contents.order(
            self.purpose,
            columns,
            only_updates=self.only_updates.data,
            names_hidden=self.names_hidden.data,
            sorting=Sorting(self.sorting.data),
            grouped=self.grouped.data,
        )


@deliveries.app_context_processor
def _words() -> dict[str, object]:
    return {
        "export_kinds": KINDS,
        "export_purposes": PURPOSES,
        "file_name": exports.file_name,
        "is_interrupted": queue.is_interrupted,
        "ahead": lambda export: exports.ahead(db.session(), export),
        "most_withdrawn": withdrawals.MOST_COUNTED,
        "withdrawn_since": lambda campaign, at: withdrawals.since(db.session(), campaign.id, at),
    }


@deliveries.get("/campaigns/<slug>/deliveries")
@allow(Right.DELIVER)
def page(campaign: Campaign) -> ResponseReturnValue:
    """Show the forms and the files requested in the last day."""
    return _page(campaign, map(DeliveryForm, Purpose))


def _page(campaign: Campaign, forms: Iterable[DeliveryForm]) -> str:
    now = datetime.now(UTC)
    made = exports.of_campaign(db.session(), campaign, now)
    return render_template(
        "desk/deliveries/deliveries.html",
        campaign=campaign,
        forms=list(forms),
        exports=made,
        downloads=withdrawals.downloads(db.session(), campaign.id),
        now=now,
        worker_runs=is_worker_running(db.session(), now),
    )


@deliveries.post("/campaigns/<slug>/deliveries")
@allow(Right.DELIVER)
def ask(campaign: Campaign) -> ResponseReturnValue:
    """Request a file. The background worker creates one file after the other."""
    forms = [DeliveryForm(purpose) for purpose in Purpose]
    form = next((form for form in forms if form.purpose == request.form.get("purpose")), forms[0])
    if not form.validate():
        return _page(campaign, forms), 422
    kind = Kind(form.kind.data)
    try:
        with write_transaction() as session:
            exports.ask(session, by(), campaign, kind, form.order(), datetime.now(UTC))
    except exports.QueueFullError:
        form.kind.errors = [
            ngettext(
                "%(num)s files are waiting already. Request this one when some of them are ready",
                "%(num)s files are waiting already. Request this one when some of them are ready",
                exports.MOST_WAITING,
            )
        ]
        return _page(campaign, forms), 422
    # Babel finds no messages within f-strings.
    hint = gettext("You can leave this page while it is being created.")
    notice(f"{REQUESTED[kind, form.purpose]} {hint}")
    return redirect(url_for(".page", slug=campaign.slug), 303)


@deliveries.get("/campaigns/<slug>/deliveries/<int(max=2147483647):export_id>")
@allow(Right.DELIVER, live=True)
def progress(campaign: Campaign, export_id: int) -> ResponseReturnValue:
    """Return the partial with a file's progress, which an open page polls."""
    now = datetime.now(UTC)
    export = exports.find(db.session(), campaign, export_id, now) or abort(404)
    worker_runs = is_worker_running(db.session(), now)
    return render_template(
        "desk/deliveries/_export.html", campaign=campaign, export=export, now=now, worker_runs=worker_runs
    )


@deliveries.post("/campaigns/<slug>/deliveries/<int(max=2147483647):export_id>/file")
@allow(Right.DELIVER)
def file(campaign: Campaign, export_id: int) -> ResponseReturnValue:
    """Send a file. This is a POST because every download is recorded in the audit log."""
    with write_transaction() as session:
        export = exports.hand_out(session, by(), campaign, export_id, datetime.now(UTC)) or abort(404)
        kind, size, name = Kind(export.kind), export.bytes, exports.file_name(campaign, export)
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Length": str(size)}
    return Response(exports.chunks(db.engine, export_id), content_type=TYPES[kind], headers=headers)
