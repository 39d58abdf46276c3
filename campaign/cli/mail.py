"""The commands `flask mail`: check the mail server, show messages, and list those that could not be delivered."""

import time
from datetime import UTC, datetime

import click
from flask import current_app
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaign.campaigns import lookup, translations
from campaign.cli.groups import Commands
from campaign.languages import speaking
from campaign.mail import about_signatures, checking, composing, outbox
from campaign.models.message import Message, MessageState, Queue
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from campaign.text.addresses import parsed

mail_group = Commands("mail", help="Check whether the site can send mail, and show its messages.")
MOST_LISTED = 50
"""The most messages that `flask mail failed` lists."""
WORKER_SECONDS = 60
"""How long `--worker` waits until the background worker has sent the message."""


@mail_group.command()
@click.argument("address", required=False)
@click.option("--dkim-selector", help="The selector of the DKIM key, to look the key up.")
@click.option("--worker", is_flag=True, help="Let the background worker send the test message, as it sends all others.")
def check(address: str | None, dkim_selector: str | None, worker: bool) -> None:
    """Connect to the mail server, and say what is wrong. Send a test message to ADDRESS, if given."""
    settings = current_app.config["SETTINGS"]
    if not settings.mail_url:
        raise click.ClickException("mail is not set up. Set MAIL_URL and MAIL_FROM; docs/operate.md explains how.")
    if worker and not address:
        raise click.ClickException("--worker needs an address.")
    try:
        address = parsed(address)[1] if address else None
    except ValueError as error:
        raise click.ClickException(f"the address {error}") from None
    try:
        for line in checking.check_server(settings, None if worker else address):
            click.echo(line)
    except checking.CheckError as error:
        raise click.ClickException(str(error)) from None
    if worker and address:
        _send_by_worker(address)
    for line in checking.check_domain(settings, dkim_selector):
        click.echo(line)


@mail_group.command()
@click.argument("name", type=click.Choice(about_signatures.NAMES))
@click.argument("language")
@click.option("--campaign", "slug", help="The campaign's slug; by default, the newest campaign.")
@click.option("--html", is_flag=True, help="Show the HTML instead of the text.")
def preview(name: str, language: str, slug: str | None, html: bool) -> None:
    """Print the message NAME as signers of a campaign get it in LANGUAGE, such as "en"."""
    settings = current_app.config["SETTINGS"]
    with Session(db.engine) as session:
        campaign = lookup.find(session, slug) if slug else next(iter(lookup.all_campaigns(session)), None)
        if campaign is None:
            raise click.ClickException("there is no such campaign. `flask campaigns list` shows them.")
        edition = translations.edition(campaign, language)
        if edition is None:
            known = ", ".join(shown for _, shown in translations.editions(campaign))
            raise click.ClickException(f"{campaign.slug} is not in this language. It is in: {known}.")
        with speaking.use(edition.language) as spoken:
            contents = about_signatures.sample(name, edition, settings)
            subject, text, formatted = composing.render(contents, spoken, settings)
    click.echo(formatted if html else f"Subject: {subject}\n\n{text}")


@mail_group.command()
def failed() -> None:
    """List the last messages that the mail server has refused, or that could not be sent in time."""
    ended = Message.state.in_((MessageState.REFUSED, MessageState.EXPIRED))
    last = select(Message).where(ended).order_by(Message.ended_at.desc()).limit(MOST_LISTED)
    with Session(db.engine) as session:
        found = session.scalars(last).all()
    for message in found:
        said = " ".join(message.answer.split())
        ended_at = f"{message.ended_at:%Y-%m-%d %H:%M} UTC"
        click.echo(f"{ended_at}  {message.state}  {message.queue}  {message.recipient or 'address deleted'}  {said}")
    if not found:
        click.echo("No message has failed in the last week.")


def _send_by_worker(address: str) -> None:
    with write_transaction() as session:
        message = outbox.add(session, Queue.CHECK, address, "en", datetime.now(UTC))
        session.flush()
        number = message.id
    until = time.monotonic() + WORKER_SECONDS
    while time.monotonic() < until:
        with Session(db.engine) as session:
            stored = session.get_one(Message, number)
        if stored.state is MessageState.SENT:
            click.echo(f"The background worker sent a test message to {address}.")
            return
        if stored.state is not MessageState.WAITING:
            raise click.ClickException(f"the server refused the message: {stored.answer}")
        time.sleep(0.2)
    advice = "Does it run? Start it with `flask work`, and again after MAIL_URL has changed."
    said = f"The server said: {stored.answer}." if stored.answer else advice
    raise click.ClickException(f"the background worker hasn’t sent the message yet. {said} It will go on trying.")
