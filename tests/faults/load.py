"""A steady load of signers and readers, and the check that the site told them the truth."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from campaign.signatures import tally
from campaign.storage.database import db
from tests.conftest import stored
from tests.faults.people import Client, Outcome, Reader, Report, Signer

SIGNERS = 8
RECOVERY_SECONDS = 5
"""How long the site may take to recover after the cause of a fault has ended."""
IN_A_ROW = 5
"""Successful requests in a row that show that the site has recovered, and not by chance."""


class Load:
    """Signers and readers who send requests from `start` to `finish`."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._signers = [Signer(address, number) for number in range(SIGNERS)]
        self._clients: list[Client] = [*self._signers, *(Reader(address, number) for number in range(2))]
        self.more_reports: list[Report] = []
        """Reports of further signers, who each sign once."""
        self._allowed: set[Outcome] = set()
        self._from = self._until = 0.0

    def start(self) -> None:
        """Start all clients, and return when all are served."""
        for client in self._clients:
            client.start()
        self.await_thanks(30)

    def await_thanks(self, seconds: float) -> None:
        """Return when every client has been served several times in a row, counting requests sent from now on."""
        since = time.monotonic()
        served = [Outcome.THANKED] * IN_A_ROW

        def is_served(client: Client) -> bool:
            last = client.reports[-IN_A_ROW:]
            return [report.outcome for report in last] == served and last[0].sent >= since

        self._await(is_served, self._clients, seconds, "not every client is served again")

    def sign_newcomers(self, seconds: float) -> None:
        """Sign as several new clients in turn, and check that all together are thanked within this many seconds."""
        begun = time.monotonic()
        for _ in range(IN_A_ROW):
            report = self._newcomer()
            assert report.outcome is Outcome.THANKED, report
        took = time.monotonic() - begun
        assert took <= seconds, f"new clients waited {took:.1f} seconds"

    def _newcomer(self) -> Report:
        newcomer = Signer(self._address, 0)
        try:
            report = newcomer.sign(f"newcomer{len(self.more_reports)}@example.org")
        except TimeoutError:
            raise AssertionError("a new client got no response") from None
        newcomer.browser.close()
        self.more_reports.append(report)
        return report

    def await_outcome(self, *outcomes: Outcome) -> None:
        """Return when each signer has had one of these outcomes since the fault began."""

        def is_affected(client: Client) -> bool:
            return any(report.outcome in outcomes and report.sent >= self._from for report in client.reports)

        self._await(is_affected, self._signers, 40, f"the fault does not affect every signer: {outcomes}")

    def _await(
        self, condition: Callable[[Client], bool], clients: Sequence[Client], seconds: float, failure: str
    ) -> None:
        deadline = time.monotonic() + seconds
        while not all(condition(client) for client in clients):
            self._check_failures()
            if time.monotonic() > deadline:
                last = {
                    f"{type(client).__name__} {client.number}": [r.outcome.name for r in client.reports[-IN_A_ROW:]]
                    for client in clients
                }
                raise AssertionError(f"{failure} after {seconds} seconds: {last}")
            time.sleep(0.02)

    def _check_failures(self) -> None:
        failures = [client.failure for client in self._clients if client.failure]
        assert not failures, "\n".join(failures)

    @contextmanager
    def fault(self, *allowed: Outcome) -> Iterator[None]:
        """Allow these outcomes during the block, which causes a fault, and for RECOVERY_SECONDS after it.

        Returns when all clients are served again.

        Raises:
            AssertionError: A new client can't sign after the recovery time, or another client can't sign later.
        """
        self._allowed, self._from = set(allowed), time.monotonic()
        yield
        self._until = time.monotonic() + RECOVERY_SECONDS
        while (report := self._newcomer()).outcome is not Outcome.THANKED:
            assert report.sent < self._until, f"nobody can sign {RECOVERY_SECONDS} seconds later: {report}"
            time.sleep(0.1)
        took = report.at - self._until + RECOVERY_SECONDS
        assert report.at < self._until, f"recovery took {took:.1f} seconds"
        # The site must stay available for all clients. finish() checks the outcomes after the recovery time.
        self.await_thanks(30)
        self.sign_newcomers(RECOVERY_SECONDS)

    def stop(self) -> None:
        """Let all clients finish their current request and stop."""
        for client in self._clients:
            client.leaving.set()
        for client in self._clients:
            client.join(timeout=60)
            assert not client.is_alive(), "a client still waits for a response"

    def finish(self, campaign_id: int, copy: Callable[[], None] = lambda: None, in_doubt: int = 0) -> None:
        """Stop, check every outcome against the database, and sign again for everyone who was not thanked.

        `copy` copies the site's database to where the test reads it. `in_doubt` is how many signatures may be stored
        although the site told their signers that they are not: a database server that dies after a commit can't
        confirm the commit.
        """
        self.stop()
        self._check_failures()
        reports = [report for client in self._clients for report in client.reports] + self.more_reports
        bad = [report for report in reports if report.outcome is not Outcome.THANKED]
        unexpected = [report for report in bad if report.outcome not in self._allowed or not self._from <= report.at]
        late = [report for report in bad if report.sent > self._until]
        assert (unexpected, late) == ([], [])

        mailboxes = {
            outcome: {report.about for report in reports if report.outcome is outcome and "@" in report.about}
            for outcome in Outcome
        }
        copy()
        in_database = _mailboxes()
        assert mailboxes[Outcome.THANKED] <= in_database, "a thanked signature is lost"
        surplus = in_database - mailboxes[Outcome.THANKED] - mailboxes[Outcome.UNANSWERED]
        assert len(surplus) <= in_doubt, f"stored, but the signers were told that they were not: {surplus}"
        assert surplus <= mailboxes[Outcome.REFUSED], surplus
        everyone = set().union(*mailboxes.values())
        self._sign_again(sorted(everyone - mailboxes[Outcome.THANKED]))
        copy()
        assert _mailboxes() == everyone
        assert tally.check(db.session(), campaign_id) == tally.Check(len(everyone), len(everyone))

    def _sign_again(self, mailboxes: list[str]) -> None:
        signers = [Signer(self._address, number) for number in range(4)]
        with ThreadPoolExecutor(len(signers)) as crowd:
            shares = [mailboxes[number :: len(signers)] for number in range(len(signers))]
            results = crowd.map(lambda s, share: [s.sign(mailbox).outcome for mailbox in share], signers, shares)
            assert {outcome for result in results for outcome in result} <= {Outcome.THANKED}
        for signer in signers:
            signer.browser.close()


def _mailboxes() -> set[str]:
    """Return the email addresses of all stored signatures, after checking that none is stored twice."""
    counted = Counter(signature.email for signature in stored())
    db.session.rollback()
    assert set(counted.values()) <= {1}, "a mailbox is stored twice"
    return set(counted)
