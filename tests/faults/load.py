"""A steady load of signers, each of which remembers what it was told, and of readers; and the proof of it."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlencode

from campaign import tally
from campaign.errors import WORDS
from campaign.extensions import db
from tests.conftest import ADA, FILE, PATH, stored
from tests.faults.browser import Answer, Browser, UnansweredError, UnreadError

SIGNERS = 8
BACK_SECONDS = 5
"""How long after the end of a fault's cause the site may take to be itself again."""
IN_A_ROW = 5
"""Good answers one after the other by which somebody knows that the site is itself again: no luck, and both workers."""


class Told(Enum):
    """What somebody was told who signed or read."""

    THANKED = "thanked, or shown what they asked for"
    REFUSED = "told honestly that it did not work"
    UNREAD = "told by their browser that the site can't be reached"
    UNANSWERED = "told by their browser that the site does not answer"


@dataclass(frozen=True)
class Word:
    """What somebody was told, and when; the times are those of time.monotonic()."""

    about: str
    """The mailbox, or the path."""
    told: Told
    sent: float
    at: float


class Person(threading.Thread):
    """Somebody who does the same again and again, at their own pace."""

    pace = 0.03

    def __init__(self, address: tuple[str, int], number: int) -> None:
        super().__init__(daemon=True)
        self.browser = Browser(address)
        self.number = number
        self.words: list[Word] = []
        self.failure: str | None = None
        self.leaving = threading.Event()

    def run(self) -> None:
        while not self.leaving.is_set():
            try:
                self.words.append(self.once(len(self.words)))
            except Exception as error:  # What is wrong is told where the test can see it.
                self.failure = f"{time.monotonic():.2f} {error!r}"
                break
            # Who was not thanked waits a little.
            self.leaving.wait(self.pace if self.words[-1].told is Told.THANKED else 0.2)
        self.browser.close()

    def once(self, turn: int) -> Word:
        raise NotImplementedError

    def ask(self, about: str, judge: Callable[[Answer], Told], *request: str, new: bool = False) -> Word:
        sent = time.monotonic()
        try:
            told = judge(self.browser.ask(*request, new=new))
        except UnreadError:
            told = Told.UNREAD
        except UnansweredError:
            told = Told.UNANSWERED
        return Word(about, told, sent, time.monotonic())


class Signer(Person):
    """Signs as Ada, each time with another mailbox."""

    def once(self, turn: int) -> Word:
        return self.sign(f"ada{self.number}.{turn}@example.org")

    def sign(self, mailbox: str, *, new: bool = False) -> Word:
        body = urlencode(ADA | {"email": mailbox})
        return self.ask(mailbox, lambda answer: told_to_signer(answer, mailbox), "POST", SIGNATURES, body, new=new)


class Reader(Person):
    """Looks at the page, and at what an open tab asks for."""

    pace = 0.1

    def once(self, turn: int) -> Word:
        path = (PATH, f"{PATH}/feed")[self.number % 2]
        return self.ask(path, told_to_reader, "GET", path)


SIGNATURES = f"{PATH}/signatures"


def told_to_signer(answer: Answer, mailbox: str) -> Told:
    """What an answer to a signer says; a failure where it says nothing honest."""
    seen = (answer.status, dict(answer.headers), answer.text[:2000])
    assert answer.headers["Campaign-Answer"], seen
    assert "Traceback" not in answer.text, seen
    if answer.status == 200:
        assert answer.text.lstrip().startswith('<div class="thanks">'), seen
        assert FILE.thanks in answer.text, seen
        return Told.THANKED
    assert answer.status in (503, 429), seen
    assert 'class="notice wrong" role="alert"' in answer.text, seen
    assert "Thank You" not in answer.text, seen
    if "Not signed yet" in answer.text:
        typed = {**ADA, "email": mailbox}
        for field in ("name", "email", "postal_code"):
            assert f'value="{typed[field]}"' in answer.text, seen
        assert '<option value="US" selected>' in answer.text, seen
    else:
        # Ours is a notice above the form, which stays as it is.
        assert answer.headers["HX-Retarget"] == "#notice", seen
    return Told.REFUSED


def told_to_reader(answer: Answer) -> Told:
    """The same for a reader, who asks as htmx does."""
    seen = (answer.status, dict(answer.headers), answer.text[:2000])
    assert answer.headers["Campaign-Answer"], seen
    if answer.status == 200:
        assert FILE.title in answer.text or '<div id="feed"' in answer.text, seen
        return Told.THANKED
    assert answer.status in (503, 429), seen
    # To htmx an error changes nothing; to a browser it would say so.
    assert answer.headers["HX-Reswap"] == "none" or WORDS[503].title in answer.text, seen
    return Told.REFUSED


class Load:
    """Signers and readers at work, from start to finish."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._signers = [Signer(address, number) for number in range(SIGNERS)]
        self._everyone: list[Person] = [*self._signers, *(Reader(address, number) for number in range(2))]
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

    def await_word(self, *told: Told) -> None:
        """Come back when each signer was told so since the trouble began: it has reached them."""

        def heard(person: Person) -> bool:
            return any(word.told in told and word.sent >= self._from for word in person.words)

        self._await(heard, self._signers, 40, f"the trouble reaches not everybody: {told}")

    def _await(
        self, come: Callable[[Person], bool], people: "list[Signer] | list[Person]", seconds: float, otherwise: str
    ) -> None:
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
        """Between its cause and five seconds after the cause's end, people may be told what is allowed; then not."""
        self._allowed, self._from = set(allowed), time.monotonic()
        yield
        ended = time.monotonic()
        self.await_thanks(BACK_SECONDS)
        self._until = ended + BACK_SECONDS
        # It stays so.
        self.await_thanks(30)

    def stop(self) -> None:
        """Let everybody finish what they do, and leave."""
        for person in self._everyone:
            person.leaving.set()
        for person in self._everyone:
            person.join(timeout=60)
            assert not person.is_alive(), "somebody still waits for an answer"
        self._check_failures()

    def finish(self, campaign_id: int, look: Callable[[], None] = lambda: None, in_doubt: int = 0) -> None:
        """Stop, prove that everybody was told the truth, and let sign again who was not thanked.

        `look` makes the test's own database the one that the site wrote into. Of those who were told that they have not
        signed, `in_doubt` may have: a server that dies between its commit and its word about it tells nobody.
        """
        self.stop()
        words = [word for person in self._everyone for word in person.words]
        bad = [word for word in words if word.told is not Told.THANKED]
        unfit = [word for word in bad if word.told not in self._allowed or not self._from <= word.at]
        late = [word for word in bad if word.sent > self._until > 0]
        assert (unfit, late) == ([], [])

        said = {told: {word.about for s in self._signers for word in s.words if word.told is told} for told in Told}
        look()
        there = _mailboxes()
        assert said[Told.THANKED] <= there, "a thanked signature is lost"
        surplus = there - said[Told.THANKED] - said[Told.UNANSWERED]
        assert len(surplus) <= in_doubt, f"told that they have not signed, and they have: {surplus}"
        assert surplus <= said[Told.REFUSED], surplus
        self._sign_again([word.about for signer in self._signers for word in signer.words if word in set(bad)])
        look()
        everyone = set().union(*said.values())
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
