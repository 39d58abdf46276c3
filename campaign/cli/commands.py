"""The operator's commands: flask prepare, copy-from, campaigns …, and signatures …; adds all commands to the app."""

from collections.abc import Mapping, Sequence
from copy import copy
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from sqlalchemy.orm import Session

from campaign.accounts.audit_log import COMMAND
from campaign.campaigns import editing, lookup, problems, stages, translations
from campaign.campaigns.fields import InvalidCampaignError
from campaign.campaigns.files import reading
from campaign.campaigns.files.reading import ReadFile
from campaign.campaigns.letter.changes import Compared
from campaign.cli import checks
from campaign.cli import copy_from as copying
from campaign.cli.groups import Commands, database_error_in_one_line
from campaign.cli.mail import mail_group
from campaign.cli.organizers import organizers_group
from campaign.deliveries import contents, expired_files
from campaign.deliveries.contents import Purpose
from campaign.languages import catalogs
from campaign.models.campaign import Campaign
from campaign.settings import ROOT
from campaign.signatures import fake, places, tally
from campaign.storage.database import db, init_migrations, is_command
from campaign.storage.transactions import lock_out_other_nodes, write_transaction
from campaign.text.bounded_text import shortened

campaigns_group = Commands("campaigns", help="Publish, list, close, and check campaigns.")
signatures_group = Commands("signatures", help="Export signatures, or add fake ones.")
SAMPLES = ROOT / "campaigns"


def init_app(app: Flask) -> None:
    """Add the commands to the app, and Flask-Migrate's if the flask command loads the app."""
    if is_command():
        init_migrations(app)
    app.cli.add_command(campaigns_group)
    app.cli.add_command(signatures_group)
    app.cli.add_command(organizers_group)
    app.cli.add_command(_alias(organizers_group, "organisers"))
    app.cli.add_command(mail_group)
    app.cli.add_command(prepare)
    app.cli.add_command(copy_from)


def _alias(group: Commands, name: str) -> Commands:
    """Return the group under its former name, which --help doesn't list."""
    alias = copy(group)
    alias.name, alias.hidden = name, True
    return alias


@click.command()
@with_appcontext
def prepare() -> None:
    """Create the database, or update it to this version.

    Also publish the sample campaign if there are no campaigns, and build the list of ZIP codes. Run this command after
    each update, before you start the site.
    """
    with database_error_in_one_line():
        _migrate()
        samples = reading.read_all(sorted(SAMPLES.glob("*.md")))
        _exit_with([line for file in samples for line in file.error_lines()])
        with write_transaction() as session:
            lock_out_other_nodes(session.connection())
            for line in () if lookup.has_any(session) else _publish(session, samples):
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
    """Copy a site from a SQLite file to PostgreSQL.

    Copies all data of FILE to the database of DATABASE_URL, which must not have any campaigns yet.
    """
    with database_error_in_one_line():
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
@click.option("--reason", default="", help="Why a letter with signatures changes. The campaign's page shows it.")
@click.option(
    "--reason-in",
    "reasons",
    nargs=2,
    multiple=True,
    metavar="LANGUAGE TEXT",
    help="The reason in another language of the campaign, such as --reason-in es 'Corregimos una cifra'.",
)
def publish(files: tuple[Path, ...], reason: str, reasons: tuple[tuple[str, str], ...]) -> None:
    """Create or update campaigns from files.

    A file updates the campaign with the same slug. The translations next to it, such as my-campaign.es.md, are
    published with it. If any file has an error, nothing is published, and all errors are listed. Signatures don't
    change.
    """
    read, compared = reading.read_all(files), {}
    given, unknown = _reasons(read, reason, reasons)
    for file in read:
        if slug := file.values.get("slug"):
            campaign = lookup.find(db.session(), slug)
            stored = translations.texts_of(campaign) if campaign else {}
            values = {**file.values, "translations": {**stored, **file.translated}}
            file.errors = problems.find(db.session(), campaign, values, given) | file.errors
            for tag in stored.keys() - {each.tag for each in file.translations}:
                name = translations.english_name(tag)
                file.notices[tag] = f"There is no file for the translation into {name}, so it stays as it is"
        if file.is_valid:
            compared[file.path] = editing.compare(
                db.session(), translations.with_stored(file.campaign, campaign), campaign
            )
        for notice in file.notice_lines():
            click.echo(f"Note: {notice}", err=True)
    _exit_with([line for file in read for line in _error_lines(file)] + unknown)
    with write_transaction() as session:
        done = _publish(session, read, given, compared)
    click.echo("\n".join(done))


def _reasons(
    files: Sequence[ReadFile], reason: str, reasons: Sequence[tuple[str, str]]
) -> tuple[dict[str, str], list[str]]:
    """Return the reasons by language tag, as `editing.edit` expects them, and an error for each unknown tag."""
    known = {each.tag for file in files for each in file.translations}
    for slug in [file.values["slug"] for file in files if "slug" in file.values]:
        campaign = lookup.find(db.session(), slug)
        known |= translations.texts_of(campaign).keys() if campaign else set()
    given, errors = {"": reason}, []
    for typed, text in reasons:
        tag = catalogs.usual_tag(typed)
        if tag in known:
            given[tag] = text
        else:
            errors.append(f"--reason-in: None of the campaigns has a translation into {shortened(typed, 20)}")
    return given, errors


def _error_lines(file: ReadFile) -> list[str]:
    """Return the errors of a file. The reason is an option of the command, and not a key of the file."""
    file.errors = {"--reason" if key == "reason" else key: why for key, why in file.errors.items()}
    return file.error_lines()


def _exit_with(errors: Sequence[str]) -> None:
    """Print errors, one line each, and exit, if there are any."""
    for error in errors:
        click.echo(f"Error: {error}", err=True)
    if errors:
        raise click.exceptions.Exit(1)


def _publish(
    session: Session,
    files: Sequence[ReadFile],
    reasons: Mapping[str, str] = MappingProxyType({}),
    compared: Mapping[Path, Mapping[str, Compared]] = MappingProxyType({}),
) -> list[str]:
    done, now = [], datetime.now(UTC)
    for file in files:
        compared_now = compared.get(file.path, {})
        try:
            published = editing.publish(
                session,
                COMMAND,
                file.campaign,
                now,
                reasons=reasons,
                compared=compared_now,
                confirm=bool(current_app.config["SETTINGS"].mail_url),
            )
        except InvalidCampaignError as error:
            # Another editor has changed the campaign since the files were checked.
            file.errors = error.errors
            _exit_with(_error_lines(file))
            raise
        done.append(f"{'published' if published.new else 'updated'} {file.campaign.slug}")
    return done


@campaigns_group.command("list")
def list_campaigns() -> None:
    """List all campaigns: slug, stage, count, goal, and title."""
    session, now = db.session(), datetime.now(UTC)
    for campaign in lookup.all_campaigns(session):
        count = tally.count(session, campaign.id)
        stage = stages.stage(campaign, now)
        goal = stages.progress(campaign, count).goal
        click.echo(f"{campaign.slug}\t{stage}\t{count} of {goal}\t{campaign.title}")


@campaigns_group.command()
@click.argument("slug")
def close(slug: str) -> None:
    """Close a campaign.

    This removes the sign form. The letter and the list of signatories stay.
    """
    _take_step(slug, "close")


@campaigns_group.command()
@click.argument("slug")
def win(slug: str) -> None:
    """Close a campaign and say on its page that it has won."""
    _take_step(slug, "win")


def _take_step(slug: str, step: str) -> None:
    campaign_id = _find(slug).id
    try:
        with write_transaction() as session:
            editing.take_step(session, COMMAND, campaign_id, step, datetime.now(UTC))
    except editing.StepNotAllowedError as error:
        raise click.ClickException(str(error)) from None
    _, state = stages.STEPS[step]
    click.echo(f"{slug} is {state}")


@campaigns_group.command()
@click.argument("slug", required=False)
@click.option("--repair", is_flag=True, help="Correct a wrong tally, and wrong statistics.")
def check(slug: str | None, repair: bool) -> None:
    """Check the tally and the statistics of one or all campaigns.

    Compares both with the stored signatures. The exit status is 1 if they differ and --repair is not given.
    """
    campaigns = [_find(slug)] if slug else lookup.all_campaigns(db.session())
    right = [checks.check(campaign, repair=repair) for campaign in campaigns]
    if not all(right) and not repair:
        raise click.exceptions.Exit(1)


@signatures_group.command()
@click.argument("slug")
@click.option("--bom", is_flag=True, help="Begin with a byte-order mark, for Excel.")
def export(slug: str, bom: bool) -> None:
    """Export all signatures of a campaign as CSV.

    Writes all fields, including email addresses, to standard output, in UTF-8.
    """
    campaign = _find(slug)
    everything = contents.order(Purpose.OURS, contents.COLUMNS[Purpose.OURS])
    of = contents.snapshot(db.session(), campaign.id)
    # PostgreSQL ends a transaction that is idle while the file is written.
    db.session.close()
    rows = contents.rows(db.engine, campaign, everything, of)
    if bom:
        click.echo(contents.BOM.encode(), nl=False)
    for chunk in contents.csv_chunks(contents.header(campaign, everything), rows):
        # Bytes, so that the output is UTF-8 whatever the terminal's encoding.
        click.echo(chunk.encode(), nl=False)


@signatures_group.command("forget-exports")
def forget_exports() -> None:
    """Delete expired exports and unused pictures.

    A picture is unused if it was uploaded more than a day ago and never saved. The background worker does this every
    minute; the command is for a site whose worker doesn't run.
    """
    now, deleted = datetime.now(UTC), list[expired_files.Deleted]()
    while not deleted or deleted[-1].has_more:
        with write_transaction() as session:
            deleted.append(expired_files.delete_piece(session, now))
    exports, unused = sum(each.exports for each in deleted), sum(each.pictures for each in deleted)
    click.echo(f"Deleted {exports} expired exports and {unused} unused pictures.")


@signatures_group.command("fake")
@click.argument("slug")
@click.argument("number", type=click.IntRange(min=1))
def fake_signatures(slug: str, number: int) -> None:
    """Add fake signatures to a campaign, for development."""
    campaign = _find(slug)
    with click.progressbar(length=number, label=f"Adding fake signatures to {slug}") as bar:
        for stored in fake.sign(campaign.id, number, datetime.now(UTC)):
            bar.update(stored)


def _find(slug: str) -> Campaign:
    campaign = lookup.find(db.session(), slug)
    if campaign is None:
        raise click.ClickException(f"there is no campaign {slug!r}. Run `flask campaigns list` to see all campaigns.")
    return campaign
