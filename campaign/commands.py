"""The operator's and organiser's commands: flask prepare, copy-from, campaigns …, signatures …"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext
from sqlalchemy.orm import Session

from campaign import accounts, campaign_file, campaigns, copying, delivery, editing, exports, fake, places, tally
from campaign.campaign_file import CampaignFileError
from campaign.campaign_keys import CampaignFile, WrongError
from campaign.delivery import Purpose
from campaign.desk_models import Role
from campaign.extensions import STORAGE_ERRORS, db, init_migrations, is_command, lock_out_other_nodes, write_transaction
from campaign.models import Campaign
from campaign.mount import PREFIX
from campaign.record import COMMAND
from campaign.settings import ROOT


class Commands(AppGroup):
    """A group whose commands say in one line when the database can't be used."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command.

        Raises:
            click.ClickException: the database can't be used.
        """
        with _database_trouble_in_one_line(" (has `flask prepare` run?)"):
            return super().invoke(context)


@contextmanager
def _database_trouble_in_one_line(hint: str = "") -> Iterator[None]:
    try:
        yield
    except STORAGE_ERRORS as error:
        reason = str(getattr(error, "orig", error)).splitlines()[0]
        raise click.ClickException(f"the database can't be used: {reason}{hint}") from error


campaigns_group = Commands("campaigns", help="Publish campaigns, close them, prove their count.")
signatures_group = Commands("signatures", help="Hand signatures over, or invent some for development.")
organisers_group = Commands("organisers", help="Let people in at the organisers' desk.")
SAMPLES = ROOT / "campaigns"


def init_app(app: Flask) -> None:
    """Give the app its commands; those of Flask-Migrate, if it is the flask command that loads the app."""
    if is_command():
        init_migrations(app)
    app.cli.add_command(campaigns_group)
    app.cli.add_command(signatures_group)
    app.cli.add_command(organisers_group)
    app.cli.add_command(prepare)
    app.cli.add_command(copy_from)


@click.command()
@with_appcontext
def prepare() -> None:
    """Bring the database to this version, publish the sample if there is no campaign, and list the ZIP codes."""
    with _database_trouble_in_one_line():
        _migrate()
        samples = campaign_file.read_all(sorted(SAMPLES.glob("*.md")))
        with write_transaction() as session:
            lock_out_other_nodes(session.connection())
            for line in () if campaigns.every(session) else _publish(session, samples):
                click.echo(line)
    places.load(current_app.config["SETTINGS"].instance)


def _migrate() -> None:
    from flask_migrate import upgrade

    init_migrations(current_app)
    upgrade()


@click.command("copy-from")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_appcontext
def copy_from(file: Path) -> None:
    """Copy everything of a SQLite FILE into this empty database, to move a site to PostgreSQL."""
    with _database_trouble_in_one_line():
        _migrate()
        with write_transaction() as session:
            lock_out_other_nodes(session.connection())
            try:
                copied = copying.copy_from(file, session)
            except copying.CopyError as error:
                raise click.ClickException(str(error)) from None
    for table, rows in copied.items():
        click.echo(f"{table}: {rows} rows")


@campaigns_group.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path))
@click.option("--reason", default="", help="Why a letter changes that was signed; its page says so.")
def publish(files: tuple[Path, ...], reason: str) -> None:
    """Create or update campaigns from their files, by slug: all or, if one is broken, none.

    Signatures are not touched.
    """
    try:
        read = campaign_file.read_all(files)
    except CampaignFileError as error:
        raise click.ClickException(str(error)) from None
    with write_transaction() as session:
        done = _publish(session, read, reason)
    click.echo("\n".join(done))


def _publish(session: Session, files: Mapping[Path, CampaignFile], reason: str = "") -> list[str]:
    done = []
    for path, file in files.items():
        try:
            published = editing.publish(session, COMMAND, file, datetime.now(UTC), reason=reason)
        except WrongError as error:
            key, why = next(iter(error.errors.items()))
            raise click.ClickException(f"{path}: {'--' if key == 'reason' else ''}{key}: {why}") from None
        done.append(f"{'published' if published.new else 'updated'} {file.slug}")
    return done


@campaigns_group.command("list")
def list_campaigns() -> None:
    """List all campaigns: slug, stage, count, goal and title."""
    session, now = db.session(), datetime.now(UTC)
    for campaign in campaigns.every(session):
        count = tally.count(session, campaign.id)
        stage = campaigns.stage(campaign, now)
        goal = campaigns.progress(campaign, count).goal
        click.echo(f"{campaign.slug}\t{stage}\t{count} of {goal}\t{campaign.title}")


@campaigns_group.command()
@click.argument("slug")
def close(slug: str) -> None:
    """End a campaign: the letter and the list stay, the form goes."""
    _take_step(slug, "close")


@campaigns_group.command()
@click.argument("slug")
def win(slug: str) -> None:
    """Declare a campaign won."""
    _take_step(slug, "win")


def _take_step(slug: str, step: str) -> None:
    campaign_id = _find(slug).id
    try:
        with write_transaction() as session:
            editing.take_step(session, COMMAND, campaign_id, step, datetime.now(UTC))
    except editing.NotPossibleError as error:
        raise click.ClickException(str(error)) from None
    _, state = editing.STEPS[step]
    click.echo(f"{slug} is {state}")


@campaigns_group.command()
@click.argument("slug", required=False)
@click.option("--repair", is_flag=True, help="Set a wrong tally right.")
def check(slug: str | None, repair: bool) -> None:
    """Compare the tally with the signatures themselves; exit 1 where they differ and are not repaired."""
    wrong = False
    for campaign in [_find(slug)] if slug else campaigns.every(db.session()):
        if repair:
            with write_transaction() as session:
                found = tally.repair(session, campaign.id)
        else:
            found = tally.check(db.session(), campaign.id)
        wrong = wrong or not found.right
        verdict = "right" if found.right else "repaired" if repair else "WRONG"
        click.echo(f"{campaign.slug}: tally {found.tallied}, signatures {found.stored}: {verdict}")
    if wrong and not repair:
        raise click.exceptions.Exit(1)


@signatures_group.command()
@click.argument("slug")
def export(slug: str) -> None:
    """Write a campaign's signatures to standard output as CSV."""
    campaign = _find(slug)
    everything = delivery.order(Purpose.OURS, delivery.COLUMNS[Purpose.OURS])
    of = delivery.snapshot(db.session(), campaign.id)
    rows = delivery.rows(db.engine, campaign, everything, of)
    for chunk in delivery.csv_chunks(delivery.header(campaign, everything), rows):
        # Bytes, so that it is UTF-8 on every terminal.
        click.echo(chunk.encode(), nl=False)


@signatures_group.command("forget-exports")
def forget_exports() -> None:
    """Delete the files that the desk has made and that can't be fetched any more; it does so too when it makes one."""
    now = datetime.now(UTC)
    exports.sweep(now)
    with write_transaction() as session:
        click.echo(f"{exports.clean(session, now)} deleted")


@signatures_group.command("fake")
@click.argument("slug")
@click.argument("number", type=click.IntRange(min=1))
def fake_signatures(slug: str, number: int) -> None:
    """Put NUMBER invented signatures under a campaign, for development."""
    campaign = _find(slug)
    with click.progressbar(length=number, label=f"Signing {slug}") as bar:
        for stored in fake.sign(campaign.id, number, datetime.now(UTC)):
            bar.update(stored)


@organisers_group.command()
@click.argument("email")
@click.option("--role", type=click.Choice([role.value for role in Role]), default=Role.ORGANISER.value)
def invite(email: str, role: str) -> None:
    """Print a link, good for a day, by which EMAIL gets an account; or again, with password and second factor anew."""
    settings = current_app.config["SETTINGS"]
    try:
        with write_transaction() as session:
            account = accounts.invite(session, email, Role(role), COMMAND, datetime.now(UTC), again=True)
            token = accounts.invitation(settings.secret_key, account)
    except accounts.AccountError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{settings.site_url}{PREFIX}/invitation?key={token}")


def _find(slug: str) -> Campaign:
    campaign = campaigns.find(db.session(), slug)
    if campaign is None:
        raise click.ClickException(f"there is no campaign {slug!r}; `flask campaigns list` shows all")
    return campaign
