"""The desk's pages for accounts: accepting invitations, your own account and its sessions, and managing accounts."""

from datetime import UTC, datetime

from flask import Blueprint, abort, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from sqlalchemy import select
from wtforms import BooleanField, Field, Form, PasswordField, SelectField, SelectMultipleField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import ValidationError

from campaign.accounts import audit_log, sessions, sign_in_log
from campaign.accounts import invitations as rules
from campaign.accounts.permissions import Right
from campaign.desk.access import allow, by, me, notice
from campaign.desk.sign_in import passwords
from campaign.desk.sign_in.security import start_first_passkey_session
from campaign.desk.sign_in.session_cookie import signed_in_by
from campaign.languages.speaking import LazyText, gettext, lazy_gettext
from campaign.models.account import Account, DeskSession, Role
from campaign.models.campaign import Campaign
from campaign.models.columns import NAME_LENGTH
from campaign.signatures.cleaning import clean
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from campaign.text.sorting import sort_key
from campaign.web.form_checks import OneErrorPerField, text

accounts = Blueprint("accounts", __name__)

ROLES = {
    Role.ADMIN: lazy_gettext("Admin: can do everything, including inviting people"),
    Role.ORGANIZER: lazy_gettext("Organizer: writes their own campaigns, and moderates and delivers the signatures"),
    Role.MODERATOR: lazy_gettext("Moderator: hides and restores signatures, but can’t see email addresses"),
    Role.OBSERVER: lazy_gettext("Observer: can only view statistics"),
}
ROLE_NAMES = {
    Role.ADMIN: lazy_gettext("admin"),
    Role.ORGANIZER: lazy_gettext("organizer"),
    Role.MODERATOR: lazy_gettext("moderator"),
    Role.OBSERVER: lazy_gettext("observer"),
}
"""The names of the roles as they stand in a sentence."""


_ROLE_CHOICES = [
    SelectChoice(Role.ADMIN.value, lazy_gettext("Admin")),
    SelectChoice(Role.ORGANIZER.value, lazy_gettext("Organizer")),
    SelectChoice(Role.MODERATOR.value, lazy_gettext("Moderator")),
    SelectChoice(Role.OBSERVER.value, lazy_gettext("Observer")),
]


def _check_name(_form: Form, field: Field) -> None:
    if not field.data:
        raise ValidationError(gettext("Enter your name"))


def _check_password(form: "AcceptForm", field: Field) -> None:
    if problem := passwords.problem_with(field.data or "", form.account, form.name.data or ""):
        raise ValidationError(problem)


def _check_confirmation(form: Form, field: Field) -> None:
    if not passwords.are_same(field.data or "", form.password.data or ""):
        raise ValidationError(gettext("The passwords don’t match"))


class AcceptForm(FlaskForm):  # type: ignore[misc]
    """The form to accept an invitation: a name, and a password entered twice."""

    Meta = OneErrorPerField

    account: Account | None = None
    """The invited account."""
    name = StringField(lazy_gettext("Your name"), [text(NAME_LENGTH), _check_name], filters=[clean])
    password = PasswordField(lazy_gettext("Password"), [_check_password])
    again = PasswordField(lazy_gettext("Confirm password"), [_check_confirmation])


class InviteForm(FlaskForm):  # type: ignore[misc]
    """The form to invite someone."""

    Meta = OneErrorPerField

    email = StringField(lazy_gettext("Email address"))
    role = SelectField(lazy_gettext("Role"), choices=_ROLE_CHOICES, default=Role.ORGANIZER)
    again = BooleanField(lazy_gettext("Also if an account exists already"))


class AccountForm(FlaskForm):  # type: ignore[misc]
    """The form to change an account."""

    Meta = OneErrorPerField

    role = SelectField(lazy_gettext("Role"), choices=_ROLE_CHOICES)
    active = BooleanField(lazy_gettext("Can sign in"))
    own = SelectMultipleField(lazy_gettext("Own campaigns"), coerce=int)


@accounts.app_context_processor
def _roles() -> dict[str, dict[Role, LazyText]]:
    return {"roles": ROLES, "role_names": ROLE_NAMES}


@accounts.route("/invitation", methods=["GET", "POST"])
def accept() -> ResponseReturnValue:
    """Accept an invitation by choosing a name and a password. The second factor is set up at the first sign-in."""
    # The token isn't in the path because proxies log paths.
    token = request.args.get("key", "")
    account = _invited(token)
    if account is None:
        return render_template("desk/sign_in/invitation.html", form=None), 410
    form = AcceptForm()
    form.account = account
    if not form.validate_on_submit():
        return render_template("desk/sign_in/invitation.html", form=form, account=account), 422 if form.errors else 200
    # Hash before the write transaction: hashing takes time, and signers would have to wait for the transaction.
    password_hash, secret = passwords.hash_of(form.password.data), current_app.config["SETTINGS"].secret_key
    with write_transaction() as session:
        # Check again under the lock: another browser may have used the same link in the meantime.
        account = rules.invited(session, secret, token, to_accept=True) or abort(410)
        rules.accept(session, account, form.name.data, password_hash, datetime.now(UTC))
    notice(gettext("Your account is ready. Sign in to continue."))
    return redirect(url_for("security.login"), 303)


def _invited(token: str) -> Account | None:
    return rules.invited(db.session(), current_app.config["SETTINGS"].secret_key, token)


@accounts.get("/arrive")
@allow(None)
def arrive() -> ResponseReturnValue:
    """Redirect after sign-in: to recovery codes the first time, to campaigns after that."""
    if not me().mf_recovery_codes:
        return redirect(url_for("security.mf_recovery_codes"))
    return redirect(f"{request.root_path}/")


@accounts.post("/account/first-passkey")
def first_passkey() -> ResponseReturnValue:
    """Start adding a passkey as the first second factor, after the password was entered."""
    return redirect(url_for("security.wan_register" if start_first_passkey_session() else "security.login"), 303)


@accounts.get("/account/passkey-added")
@allow(None)
def passkey_added() -> ResponseReturnValue:
    """Redirect after a passkey was added: to the list of passkeys, or on to `arrive` during the first sign-in."""
    return redirect(url_for("security.wan_register" if me().mf_recovery_codes else "accounts.arrive"))


@accounts.get("/account")
@allow(None)
def own() -> ResponseReturnValue:
    """Show the user's own account: how they sign in, their sessions, and their recent sign-ins."""
    now = datetime.now(UTC)
    listed = [(each, signed_in_by(each.digest)) for each in sessions.of(db.session(), me(), now)]
    entries = sign_in_log.recent(db.session(), me())
    shown = {"sign_ins": entries, "sign_in_words": sign_in_log.SHOWN, "most": sign_in_log.LISTED_IN_HOUR}
    return render_template("desk/accounts/account.html", sessions=listed, now=now, **shown)


@accounts.post("/account/sessions")
@allow(None)
def end_sessions() -> ResponseReturnValue:
    """End one of the user's own sessions, or all except the current one if the form names none."""
    named, mine, signing_out = request.form.get("session"), me().id, by()
    with write_transaction() as session:
        for each in session.scalars(select(DeskSession).where(DeskSession.account_id == mine)):
            if named == each.digest or (named is None and not signed_in_by(each.digest)):
                sessions.end(session, each.digest)
                after = {"browser": each.browser}
                audit_log.write(session, signing_out, sign_in_log.SIGN_OUT, datetime.now(UTC), after=after)
    ended = gettext("All your other sessions have ended.") if named is None else gettext("That session has ended.")
    notice(ended)
    return redirect(url_for("accounts.own"), 303)


@accounts.get("/accounts")
@allow(Right.ACCOUNTS, fresh=True)
def everybody() -> ResponseReturnValue:
    """List all accounts, with a form to invite someone."""
    return render_template("desk/accounts/accounts.html", everybody=rules.every(db.session()), form=InviteForm())


@accounts.post("/accounts")
@allow(Right.ACCOUNTS, fresh=True)
def invite() -> ResponseReturnValue:
    """Invite someone and show the link once. `again` resets an account whose password or second factor was lost."""
    form = InviteForm()
    if form.validate():
        try:
            inviting, now = by(), datetime.now(UTC)
            with write_transaction() as session:
                typed, role = form.email.data or "", Role(form.role.data)
                account = rules.invite(session, typed, role, inviting, now, again=form.again.data)
                link = invitation_url(account)
                email = account.email
            return render_template("desk/accounts/invited.html", link=link, email=email)
        except rules.AccountError as error:
            form.email.errors = [str(error)]
    return render_template("desk/accounts/accounts.html", everybody=rules.every(db.session()), form=form), 422


def invitation_url(account: Account) -> str:
    """Return the public URL of the account's invitation."""
    settings = current_app.config["SETTINGS"]
    token = rules.invitation(settings.secret_key, account)
    return f"{settings.site_url}{url_for('accounts.accept', key=token)}"


@accounts.route("/accounts/<int(max=2147483647):account_id>", methods=["GET", "POST"])
@allow(Right.ACCOUNTS, fresh=True)
def account(account_id: int) -> ResponseReturnValue:
    """Change an account's role, whether it can sign in, and its own campaigns."""
    found = db.session.get(Account, account_id) or abort(404)
    own = {campaign.id for campaign in rules.own_campaigns(db.session(), found)}
    form = AccountForm(role=found.role.value, active=found.active, own=list(own))
    titles = db.session.execute(select(Campaign.id, Campaign.title).where(Campaign.deleted_at.is_(None))).all()
    by_title = sorted(titles, key=lambda row: sort_key(row.title))
    form.own.choices = [SelectChoice(row.id, row.title) for row in by_title]
    if form.validate_on_submit():
        try:
            changing, now = by(), datetime.now(UTC)
            with write_transaction() as session:
                changed = session.get(Account, account_id) or abort(404)
                rules.change_role(session, changed, Role(form.role.data), changing, now)
                rules.set_active(session, changed, form.active.data, changing, now)
                rules.set_own_campaigns(session, changed, set(form.own.data), changing, now)
            notice(gettext("Account saved."))
            return redirect(url_for("accounts.everybody"), 303)
        except rules.AccountError as error:
            form.role.errors = [str(error)]
            found = db.session.get(Account, account_id) or abort(404)
    return render_template("desk/accounts/edit_account.html", account=found, form=form), 422 if form.errors else 200
