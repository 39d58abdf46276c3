"""The command `flask mail check`."""

import time
from datetime import UTC, datetime

import click
from flask import current_app
from sqlalchemy.orm import Session

from campaign.cli.groups import Commands
from campaign.mail import checking, outbox
from campaign.models.message import Message, MessageState, Queue
from campaign.storage.database import db
from campaign.storage.transactions import write_transaction
from campaign.text.addresses import parsed

mail_group = Commands("mail", help="Check whether the site can send mail.")
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
