"""The commands `flask organizers …`, which invite people to the desk and unlock their accounts."""

from datetime import UTC, datetime

import click
from flask import current_app

from campaign.accounts import invitations, sign_in_log
from campaign.accounts.audit_log import COMMAND
from campaign.cli.groups import Commands
from campaign.models.account import Role
from campaign.storage.transactions import write_transaction
from campaign.web.desk_mount import PREFIX

organizers_group = Commands("organizers", help="Invite organizers to the desk, and unlock their accounts.")


class RoleChoice(click.Choice[str]):
    """A role as a command option; "organiser" is accepted too, for scripts that were written for earlier versions."""

    def __init__(self) -> None:
        """Accept all roles."""
        super().__init__([role.value for role in Role])

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the role's value, or fail with a list of the roles."""
        return super().convert("organizer" if value == "organiser" else value, param, ctx)


@organizers_group.command()
@click.argument("email")
@click.option(
    "--role", type=RoleChoice(), default=Role.ORGANIZER.value, show_default=True, help="The role of the account."
)
def invite(email: str, role: str) -> None:
    """Print a link to set up an account for EMAIL.

    The link works for one day. If EMAIL already has an account, it gets the role of --role, and its owner can't sign in
    until they have used the link to choose a new password and second factor.
    """
    settings = current_app.config["SETTINGS"]
    try:
        with write_transaction() as session:
            account = invitations.invite(session, email, Role(role), COMMAND, datetime.now(UTC), again=True)
            token = invitations.invitation(settings.secret_key, account)
    except invitations.AccountError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{settings.site_url}{PREFIX}/invitation?key={token}")


@organizers_group.command()
@click.argument("email")
def unlock(email: str) -> None:
    """Unlock an account after too many wrong passwords or codes."""
    try:
        with write_transaction() as session:
            account = invitations.find(session, email)
            if account is None:
                raise click.ClickException(f"there is no account with the email address {email!r}")
            sign_in_log.unlock(session, account, COMMAND, datetime.now(UTC))
    except invitations.AccountError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{email} can sign in again now.")
