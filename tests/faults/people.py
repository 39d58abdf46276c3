"""Signers and readers, each of whom remembers what they were told, and what of it is honest."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlencode

from campaign.errors import WORDS
from tests.conftest import ADA, FILE, PATH
from tests.faults.browser import Answer, Browser, UnansweredError, UnreadError

SIGNATURES = f"{PATH}/signatures"


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

    def ask(self, about: str, judge: Callable[[Answer], Told], *request: str) -> Word:
        sent = time.monotonic()
        try:
            told = judge(self.browser.ask(*request))
        except UnreadError:
            told = Told.UNREAD
        except UnansweredError:
            told = Told.UNANSWERED
        return Word(about, told, sent, time.monotonic())


class Signer(Person):
    """Signs as Ada, each time with another mailbox."""

    def once(self, turn: int) -> Word:
        return self.sign(f"ada{self.number}.{turn}@example.org")

    def sign(self, mailbox: str) -> Word:
        body = urlencode(ADA | {"email": mailbox})
        return self.ask(mailbox, lambda answer: told_to_signer(answer, mailbox), "POST", SIGNATURES, body)


class Reader(Person):
    """Looks at the page, and at what an open tab asks for."""

    pace = 0.1

    def once(self, turn: int) -> Word:
        path = (PATH, f"{PATH}/feed")[self.number % 2]
        return self.ask(path, told_to_reader, "GET", path)


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
