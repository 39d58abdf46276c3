"""Accounts, seen from the desk: invitations, one's own account and its sessions, and for admins everybody's."""

from datetime import UTC, datetime

from flask import Blueprint, abort, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_security import hash_password
from flask_wtf import FlaskForm
from sqlalchemy import select
from wtforms import BooleanField, Field, Form, PasswordField, SelectField, SelectMultipleField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import ValidationError

from campaign import accounts as rules
from campaign import sessions
from campaign.access import Right
from campaign.cleaning import has_no_text
from campaign.desk.door import allow, by, me, notice
from campaign.desk.security import let_in_to_add_passkey, signed_in_by
from campaign.desk.security_settings import PASSWORD_LENGTH
from campaign.desk_models import Account, DeskSession, Role
from campaign.extensions import db, write_transaction
from campaign.models import NAME_LENGTH, Campaign

accounts = Blueprint("accounts", __name__)

ROLES = {
    Role.ADMIN: "Admin: may do everything, and invites others",
    Role.ORGANISER: "Organiser: writes, moderates and delivers their own campaigns",
    Role.MODERATOR: "Moderator: hides signatures and shows them again; sees no email address",
    Role.OBSERVER: "Observer: sees figures only",
}


_ROLE_CHOICES = [SelectChoice(role.value, role.capitalize()) for role in ROLES]


def _name(_form: Form, field: Field) -> None:
    if not field.data or not field.data.strip():
        raise ValidationError("Enter your name")
    if len(field.data) > NAME_LENGTH:
        raise ValidationError(f"Your name must have {NAME_LENGTH} characters or fewer")
    if has_no_text(field.data):
        raise ValidationError("Your name holds a character that can’t be shown")


def _password(_form: Form, field: Field) -> None:
    if len(field.data or "") < PASSWORD_LENGTH:
        raise ValidationError(f"Your password must have {PASSWORD_LENGTH} characters or more")


def _same(form: Form, field: Field) -> None:
    if field.data != form.password.data:
        raise ValidationError("The two passwords are not the same")


class AcceptForm(FlaskForm):  # type: ignore[misc]
    """What somebody invited fills in."""

    name = StringField("Your name", [_name])
    password = PasswordField("Password", [_password])
    again = PasswordField("The same password again", [_same])


class InviteForm(FlaskForm):  # type: ignore[misc]
    """Whom to invite, and as what."""

    email = StringField("Email")
    role = SelectField("Role", choices=_ROLE_CHOICES, default=Role.ORGANISER)
    again = BooleanField("Also where there is an account already")


class AccountForm(FlaskForm):  # type: ignore[misc]
    """What an account may be."""

    role = SelectField("Role", choices=_ROLE_CHOICES)
    active = BooleanField("May sign in")
    own = SelectMultipleField("Own campaigns", coerce=int)


@accounts.app_context_processor
def _roles() -> dict[str, dict[Role, str]]:
    return {"roles": ROLES}


@accounts.route("/invitation", methods=["GET", "POST"])
def accept() -> ResponseReturnValue:
    """Accept an invitation: a name and a password; the second factor is asked for when they first sign in."""
    # Not in the path, which proxies write into their logs.
    token = request.args.get("key", "")
    account = _invited(token)
    if account is None:
        return render_template("desk/invitation.html", form=None), 410
    form = AcceptForm()
    if not form.validate_on_submit():
        return render_template("desk/invitation.html", form=form, account=account), 422 if form.errors else 200
    # Before the transaction: it takes time, which nobody who signs should wait for.
    password_hash, secret = hash_password(form.password.data), current_app.config["SETTINGS"].secret_key
    with write_transaction() as session:
        # Of two browsers with the same link, the second is told that it is used.
        account = rules.invited(session, secret, token, to_accept=True) or abort(410)
        rules.accept(session, account, form.name.data.strip(), password_hash, datetime.now(UTC))
    notice("Your account is ready. Please sign in.")
    return redirect(url_for("security.login"), 303)


def _invited(token: str) -> Account | None:
    return rules.invited(db.session(), current_app.config["SETTINGS"].secret_key, token)


@accounts.get("/arrive")
@allow(None)
def arrive() -> ResponseReturnValue:
    """Where one comes after signing in: the campaigns; the first time, the recovery codes."""
    if not me().mf_recovery_codes:
        return redirect(url_for("security.mf_recovery_codes"))
    return redirect(f"{request.root_path}/")


@accounts.post("/account/first-passkey")
def first_passkey() -> ResponseReturnValue:
    """Take a passkey, and no app, as one's first second factor; asked by who has entered their password."""
    return redirect(url_for("security.wan_register" if let_in_to_add_passkey() else "security.login"), 303)


@accounts.get("/account/passkey-added")
@allow(None)
def passkey_added() -> ResponseReturnValue:
    """Where one comes with a new passkey: to one's passkeys; the first time, on."""
    return redirect(url_for("security.wan_register" if me().mf_recovery_codes else "accounts.arrive"))


@accounts.get("/account")
@allow(None)
def own() -> ResponseReturnValue:
    """One's own account: how one signs in, and where one is signed in."""
    now = datetime.now(UTC)
    listed = [(each, signed_in_by(each.digest)) for each in sessions.of(db.session(), me(), now)]
    return render_template("desk/account.html", sessions=listed, now=now)


@accounts.post("/account/sessions")
@allow(None)
def end_sessions() -> ResponseReturnValue:
    """End one of one's own sessions; without one named, all but this."""
    named, mine = request.form.get("session"), me().id
    with write_transaction() as session:
        for each in session.scalars(select(DeskSession).where(DeskSession.account_id == mine)):
            if named == each.digest or (named is None and not signed_in_by(each.digest)):
                sessions.end(session, each.digest)
    notice("Signed out there.")
    return redirect(url_for("accounts.own"), 303)


@accounts.get("/accounts")
@allow(Right.ACCOUNTS)
def everybody() -> ResponseReturnValue:
    """Who has an account, and a form to invite somebody."""
    return render_template("desk/accounts.html", everybody=rules.every(db.session()), form=InviteForm())


@accounts.post("/accounts")
@allow(Right.ACCOUNTS)
def invite() -> ResponseReturnValue:
    """Invite somebody, or `again` somebody who has lost their password or second factor; shows the link, once."""
    form = InviteForm()
    if form.validate():
        try:
            inviting, now = by(), datetime.now(UTC)
            with write_transaction() as session:
                typed, role = form.email.data or "", Role(form.role.data)
                account = rules.invite(session, typed, role, inviting, now, again=form.again.data)
                link = link_for(account)
                email = account.email
            return render_template("desk/invited.html", link=link, email=email)
        except rules.AccountError as error:
            form.email.errors = [str(error)]
    return render_template("desk/accounts.html", everybody=rules.every(db.session()), form=form), 422


def link_for(account: Account) -> str:
    """The address of the account's invitation, for the world."""
    settings = current_app.config["SETTINGS"]
    token = rules.invitation(settings.secret_key, account)
    return f"{settings.site_url}{url_for('accounts.accept', key=token)}"


@accounts.route("/accounts/<int(max=2147483647):account_id>", methods=["GET", "POST"])
@allow(Right.ACCOUNTS)
def account(account_id: int) -> ResponseReturnValue:
    """Change what an account is, whether it may sign in, and which campaigns are its own."""
    found = db.session.get(Account, account_id) or abort(404)
    own = {campaign.id for campaign in rules.own_campaigns(db.session(), found)}
    form = AccountForm(role=found.role.value, active=found.active, own=list(own))
    titles = db.session.execute(select(Campaign.id, Campaign.title).order_by(Campaign.title)).all()
    form.own.choices = [SelectChoice(row.id, row.title) for row in titles]
    if form.validate_on_submit():
        try:
            changing, now = by(), datetime.now(UTC)
            with write_transaction() as session:
                changed = session.get(Account, account_id) or abort(404)
                rules.change_role(session, changed, Role(form.role.data), changing, now)
                rules.set_active(session, changed, form.active.data, changing, now)
                rules.set_own_campaigns(session, changed, set(form.own.data), changing, now)
            notice("Saved.")
            return redirect(url_for("accounts.everybody"), 303)
        except rules.AccountError as error:
            form.role.errors = [str(error)]
            found = db.session.get(Account, account_id) or abort(404)
    return render_template("desk/edit_account.html", account=found, form=form), 422 if form.errors else 200
