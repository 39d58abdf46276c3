"""The outbox: workers lease messages, and store what became of them.

A message is lost only with the database. It is sent twice only if a worker dies after the mail server has accepted it,
and before that is stored. Each outcome is stored at once, so that is at most one message for each death.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from email_validator import EmailNotValidError
from sqlalchemy import Engine, and_, delete, func, or_, select, update
from sqlalchemy.orm import Session

from campaign.models.message import HAS_ENDED, HAS_MAILBOX, IS_WAITING, Message, MessageState, Queue
from campaign.self_service import mailbox_records
from campaign.signatures import pseudonyms
from campaign.signatures.signing import email_key
from campaign.storage.transactions import turn_to_write, write_connection, write_statement

LEASE = timedelta(minutes=20)
"""How long a worker has for the messages that it has leased: more than `server.LONGEST`. If it dies, they wait this
long."""
LEASED = 20
"""The most messages that a worker leases at once."""
_SOON, _LATER = timedelta(hours=4), timedelta(hours=48)
LIFETIMES = {Queue.CHECK: _SOON, Queue.CONFIRM: _SOON, Queue.THANKS: _LATER, Queue.LINK: _LATER, Queue.REMINDER: _LATER}
"""How long sending a message is tried. One that no server has seen waits for _LATER: mail may be down, or a limit of
ours may delay many, and somebody waits for it."""
FIRST_RETRY, LAST_RETRY = timedelta(minutes=1), timedelta(hours=1)
"""How long a message waits after its first try. Each further one doubles it, up to LAST_RETRY. Mail servers that make
strangers wait (greylisting, RFC 6647) accept a message after some minutes."""


FURTHEST = timedelta(days=2)
"""No message waits longer than this, even if a limit delays many."""
MOST_LOOKED_AT = 1000
"""The most messages to the mailboxes of one lease that are looked at. Few mailboxes get several."""
DAY = timedelta(days=1)
MOST_A_DAY = 5
"""The most messages about a campaign that a mailbox gets in DAY, so that nobody can use the site to flood it."""
KEPT = timedelta(days=7)
"""How long a message is kept after it was sent, for people who ask where it is. Then its address is deleted."""
MOST_DELETED = 1000
"""The most messages that are deleted at once."""


@dataclass(frozen=True)
class Leased:
    """A message that this worker may send until its lease ends."""

    id: int
    queue: Queue
    campaign_id: int | None
    recipient: str
    language: str
    mailbox: str
    details: Mapping[str, Any]
    created_at: datetime
    tries: int
    holder: str
    until: datetime
    why_not: str = ""
    """Why it must not be sent, as `why_not` found when it was leased."""


def add(
    session: Session,
    queue: Queue,
    recipient: str,
    language: str,
    now: datetime,
    *,
    campaign_id: int | None = None,
) -> Message:
    """Add a message to the caller's write transaction."""
    message = Message(queue=queue, recipient=recipient, language=language, created_at=now, due_at=now)
    message.campaign_id = campaign_id
    session.add(message)
    return message


def lease(
    engine: Engine, holder: str, now: datetime, secret: str, *, after: Queue | None = None, most: int = LEASED
) -> list[Leased]:
    """Lease messages of one queue, those that have waited longest first.

    Args:
        engine: The database.
        holder: The random name of the worker.
        now: The current time.
        secret: The site's secret key, for the pseudonyms of mailboxes.
        after: The queue that was served last. The queues take turns, so that none waits for a long one.
        most: The most messages.

    Raises:
        STORAGE_ERRORS: The database failed; nothing is leased.
    """
    with Session(engine) as reading:
        if not _next_due(reading, now, after):
            # Almost always, nothing waits. Signers needn't wait for this worker's turn to write.
            return []
    with turn_to_write(engine), write_connection(engine) as connection, Session(connection) as session:
        queue = _next_due(session, now, after)
        if queue is None:
            return []
        due = select(Message).where(IS_WAITING, Message.queue == queue, Message.due_at <= now)
        # On PostgreSQL, of two workers at the same moment, the second skips what the first leases.
        due = due.order_by(Message.due_at, Message.id).limit(most).with_for_update(skip_locked=True)
        leased = []
        for message in session.scalars(due):
            message.holder, message.due_at = holder, now + LEASE
            if message.campaign_id and not message.mailbox:
                message.mailbox = _pseudonym(secret, message.campaign_id, message.recipient)
            leased.append(_leased(message))
        session.flush()
        reasons = why_not(session, leased, now)
        return [replace(each, why_not=reasons.get(each.id, "")) for each in leased]


def _pseudonym(secret: str, campaign_id: int, recipient: str) -> str:
    try:
        return pseudonyms.of(secret, campaign_id, email_key(recipient))
    except EmailNotValidError:
        # No mailbox has this one. Making the message fails, and the others go on.
        return pseudonyms.of(secret, campaign_id, recipient)


def _next_due(session: Session, now: datetime, after: Queue | None) -> Queue | None:
    """Return the next queue that has a message to send, in the order of `Queue`, starting after one."""
    queues = list(Queue)
    start = queues.index(after) + 1 if after else 0
    for queue in queues[start:] + queues[:start]:
        # A query for each queue, because the index finds its first message at once.
        due = select(Message.id).where(IS_WAITING, Message.queue == queue, Message.due_at <= now)
        if session.scalar(due.limit(1)):
            return queue
    return None


def _leased(message: Message) -> Leased:
    return Leased(
        id=message.id,
        queue=message.queue,
        campaign_id=message.campaign_id,
        recipient=message.recipient,
        language=message.language,
        mailbox=message.mailbox,
        details=message.details,
        created_at=message.created_at,
        tries=message.tries,
        holder=message.holder,
        until=message.due_at,
    )


def mark_sent(engine: Engine, leased: Leased, now: datetime) -> None:
    """Store that the mail server has accepted a message, even if another worker has leased it since."""
    accepted = update(Message).where(Message.id == leased.id, IS_WAITING)
    write_statement(engine, accepted.values(state=MessageState.SENT, ended_at=now, answer="", details={}))


def mark_skipped(engine: Engine, leased: Leased, why: str, now: datetime) -> None:
    """Store that a message is not sent, and why."""
    # The address may be that of somebody who has never been here.
    _store(engine, leased, state=MessageState.SKIPPED, ended_at=now, answer=why, recipient="", details={})


def why_not(session: Session, messages: Sequence[Leased], now: datetime) -> dict[int, str]:
    """Return why leased messages must not be sent, by their ids: their mailboxes want no mail, or have had enough.

    Messages that other workers are sending count as sent if they were leased before, so several workers together send
    no more than MOST_A_DAY either.
    """
    mailboxes = {message.mailbox for message in messages if message.mailbox}
    if not mailboxes:
        return {}
    stopped = mailbox_records.stopped(session, mailboxes)
    sent = and_(Message.state == MessageState.SENT, Message.ended_at > now - DAY)
    being_sent = and_(Message.state == MessageState.WAITING, Message.holder != "")
    shown = Message.mailbox, Message.id, Message.due_at, Message.state
    others = select(*shown).where(HAS_MAILBOX, Message.mailbox.in_(mailboxes), or_(sent, being_sent))
    rows = session.execute(others.order_by(Message.state).limit(MOST_LOOKED_AT)).all()
    reasons = {}
    for message in messages:
        earlier = [
            row.id
            for row in rows
            if row.mailbox == message.mailbox
            and (row.state is MessageState.SENT or (row.due_at, row.id) < (message.until, message.id))
        ]
        if message.mailbox in stopped:
            reasons[message.id] = "the mailbox wants no more mail about the campaign"
        elif len(earlier) >= MOST_A_DAY:
            reasons[message.id] = "the mailbox has had enough messages today"
    return reasons


def mark_refused(engine: Engine, leased: Leased, answer: str, now: datetime) -> None:
    """Store that the mail server has refused a message for good, and what it said."""
    _store(engine, leased, state=MessageState.REFUSED, ended_at=now, answer=answer, details={})


def try_later(engine: Engine, leased: Leased, answer: str, now: datetime) -> None:
    """Store that a message could not be sent now. It is tried again, or has expired."""
    wait, end = min(FIRST_RETRY * 2 ** min(leased.tries, 10), LAST_RETRY), leased.created_at + LIFETIMES[leased.queue]
    last_try = end - FIRST_RETRY
    if now >= last_try:
        mark_expired(engine, leased, answer, now)
    else:
        _store(engine, leased, due_at=min(now + wait, last_try), answer=answer, tries=leased.tries + 1)


def is_expired(leased: Leased, now: datetime) -> bool:
    """Return whether it is too late to send a message, for example because mail was down for days."""
    return now >= leased.created_at + (LIFETIMES[leased.queue] if leased.tries else _LATER)


def mark_expired(engine: Engine, leased: Leased, answer: str, now: datetime) -> None:
    """Store that a message could not be sent in time, and why."""
    _store(engine, leased, state=MessageState.EXPIRED, ended_at=now, answer=answer, details={})


def postpone(engine: Engine, leased: Leased, until: datetime) -> None:
    """Store that a message is sent later, because a limit of ours has been reached."""
    _store(engine, leased, due_at=until)


def give_back(engine: Engine, leased: Sequence[Leased], now: datetime) -> None:
    """End the leases of messages that this worker has not tried to send."""
    for each in leased:
        _store(engine, each, due_at=now)


def _store(engine: Engine, leased: Leased, **values: object) -> None:
    """Store an outcome, unless another worker has leased the message since."""
    own = Message.id == leased.id, Message.holder == leased.holder, Message.due_at == leased.until, IS_WAITING
    write_statement(engine, update(Message).where(*own).values(**values))


def correct_times(session: Session, now: datetime) -> None:
    """Let messages be sent whose time is far ahead, because a clock was wrong, in the caller's write transaction."""
    ahead = update(Message).where(IS_WAITING, Message.due_at > now + FURTHEST)
    session.execute(ahead.values(due_at=now).execution_options(synchronize_session=False))


def delete_ended(session: Session, now: datetime) -> bool:
    """Delete messages that ended more than KEPT ago, in the caller's write transaction. Return if there are more."""
    old = (
        select(Message.id)
        .where(HAS_ENDED, Message.ended_at < now - KEPT)
        .order_by(Message.ended_at)
        .limit(MOST_DELETED)
    )
    deleted = session.execute(delete(Message).where(Message.id.in_(old.scalar_subquery())))
    return bool(deleted.rowcount == MOST_DELETED)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Waiting:
    """The messages that wait, for metrics and health checks."""

    count: int
    since: datetime | None
    """When the oldest of them was stored."""


def waiting(session: Session) -> Waiting:
    """Return how many messages wait, and since when. Both grow only while mail is down."""
    found = select(func.count(), func.min(Message.created_at)).where(IS_WAITING)
    count, since = session.execute(found).one()
    return Waiting(count, since)
