"""A steady load of signers and readers, and the proof that what they were told was true."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from campaign import tally
from campaign.extensions import db
from tests.conftest import stored
from tests.faults.people import Person, Reader, Signer, Told, Word

SIGNERS = 8
BACK_SECONDS = 5
"""How long after the end of a fault's cause the site may take to be itself again."""
IN_A_ROW = 5
"""Good answers one after the other by which somebody knows that the site is itself again: no luck."""


class Load:
    """Signers and readers at work, from start to finish."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._signers = [Signer(address, number) for number in range(SIGNERS)]
        self._everyone: list[Person] = [*self._signers, *(Reader(address, number) for number in range(2))]
        self.others: list[Word] = []
        """What others were told who signed once."""
        self._allowed: set[Told] = set()
        self._from = self._until = 0.0

    def start(self) -> None:
        """Begin, and come back when everybody is served."""
        for person in self._everyone:
            person.start()
        self.await_thanks(30)

    def await_thanks(self, seconds: float) -> None:
        """Come back when everybody has been served some times in a row, by what they ask from now on."""
        since = time.monotonic()
        good = [Told.THANKED] * IN_A_ROW

        def served(person: Person) -> bool:
            last = person.words[-IN_A_ROW:]
            return [word.told for word in last] == good and last[0].sent >= since

        self._await(served, self._everyone, seconds, "not everybody is served again")

    def await_newcomers(self, seconds: float) -> None:
        """Let some people sign who have just come, one after the other; all are thanked, in so many seconds."""
        begun = time.monotonic()
        for _ in range(IN_A_ROW):
            word = self._newcomer()
            assert word.told is Told.THANKED, word
        took = time.monotonic() - begun
        assert took <= seconds, f"newcomers wait {took:.1f} seconds"

    def _newcomer(self) -> Word:
        newcomer = Signer(self._address, 0)
        try:
            word = newcomer.sign(f"newcomer{len(self.others)}@example.org")
        except TimeoutError:
            raise AssertionError("a newcomer gets no answer") from None
        newcomer.browser.close()
        self.others.append(word)
        return word

    def await_word(self, *told: Told) -> None:
        """Come back when each signer was told so since the trouble began: it has reached them."""

        def heard(person: Person) -> bool:
            return any(word.told in told and word.sent >= self._from for word in person.words)

        self._await(heard, self._signers, 40, f"the trouble reaches not everybody: {told}")

    def _await(self, come: Callable[[Person], bool], people: Sequence[Person], seconds: float, otherwise: str) -> None:
        deadline = time.monotonic() + seconds
        while not all(come(person) for person in people):
            self._check_failures()
            if time.monotonic() > deadline:
                last = {f"{type(p).__name__} {p.number}": [w.told.name for w in p.words[-IN_A_ROW:]] for p in people}
                raise AssertionError(f"{otherwise}, {seconds} seconds later: {last}")
            time.sleep(0.02)

    def _check_failures(self) -> None:
        failures = [person.failure for person in self._everyone if person.failure]
        assert not failures, "\n".join(failures)

    @contextmanager
    def trouble(self, *allowed: Told) -> Iterator[None]:
        """Break something: until five seconds after the end of the block people may be told what is allowed.

        Comes back when everybody is served again.

        Raises:
            AssertionError: after five seconds a newcomer can't sign, or later somebody else can't.
        """
        self._allowed, self._from = set(allowed), time.monotonic()
        yield
        self._until = time.monotonic() + BACK_SECONDS
        while (word := self._newcomer()).told is not Told.THANKED:
            assert word.sent < self._until, f"{BACK_SECONDS} seconds later nobody can sign: {word}"
            time.sleep(0.1)
        assert word.at < self._until, f"back after {word.at - self._until + BACK_SECONDS:.1f} seconds"
        # It stays so, and for everybody; finish() looks whether anybody was told otherwise after those seconds.
        self.await_thanks(30)
        self.await_newcomers(BACK_SECONDS)

    def stop(self) -> None:
        """Let everybody finish what they do, and leave."""
        for person in self._everyone:
            person.leaving.set()
        for person in self._everyone:
            person.join(timeout=60)
            assert not person.is_alive(), "somebody still waits for an answer"

    def finish(self, campaign_id: int, look: Callable[[], None] = lambda: None, in_doubt: int = 0) -> None:
        """Stop, prove that everybody was told the truth, and let sign again who was not thanked.

        `look` makes the test's own database the one that the site wrote into. Of those who were told that they have not
        signed, `in_doubt` may have: a server that dies between its commit and its word about it tells nobody.
        """
        self.stop()
        self._check_failures()
        words = [word for person in self._everyone for word in person.words] + self.others
        bad = [word for word in words if word.told is not Told.THANKED]
        unfit = [word for word in bad if word.told not in self._allowed or not self._from <= word.at]
        late = [word for word in bad if word.sent > self._until]
        assert (unfit, late) == ([], [])

        said = {told: {word.about for word in words if word.told is told and "@" in word.about} for told in Told}
        look()
        there = _mailboxes()
        assert said[Told.THANKED] <= there, "a thanked signature is lost"
        surplus = there - said[Told.THANKED] - said[Told.UNANSWERED]
        assert len(surplus) <= in_doubt, f"told that they have not signed, and they have: {surplus}"
        assert surplus <= said[Told.REFUSED], surplus
        everyone = set().union(*said.values())
        self._sign_again(sorted(everyone - said[Told.THANKED]))
        look()
        assert _mailboxes() == everyone
        assert tally.check(db.session(), campaign_id) == tally.Check(len(everyone), len(everyone))

    def _sign_again(self, mailboxes: list[str]) -> None:
        again = [Signer(self._address, number) for number in range(4)]
        with ThreadPoolExecutor(len(again)) as crowd:
            shares = [mailboxes[number :: len(again)] for number in range(len(again))]
            answers = crowd.map(lambda s, share: [s.sign(mailbox).told for mailbox in share], again, shares)
            assert {told for answer in answers for told in answer} <= {Told.THANKED}
        for signer in again:
            signer.browser.close()


def _mailboxes() -> set[str]:
    counted = Counter(signature.email for signature in stored())
    db.session.rollback()
    assert set(counted.values()) <= {1}, "somebody is there twice"
    return set(counted)
