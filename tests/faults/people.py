"""Signers and readers that record the outcome of each request, and the checks of each response."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlencode

from campaign.web.errors import WORDS
from tests.conftest import ADA, FILE, PATH
from tests.faults.browser import Browser, Response, UnansweredError, UnreadError

SIGNATURES = f"{PATH}/signatures"


class Outcome(Enum):
    """The outcome of a request, as the signer or reader sees it."""

    THANKED = "thanked, or shown the page"
    REFUSED = "told by the site that it did not work"
    UNREAD = "told by their browser that the site can't be reached"
    UNANSWERED = "told by their browser that the site does not respond"


@dataclass(frozen=True)
class Report:
    """The outcome of a request, with the times when it was sent and when it ended, in seconds of time.monotonic()."""

    about: str
    """The email address of a signer, or the path of a reader."""
    outcome: Outcome
    sent: float
    at: float


class Client(threading.Thread):
    """A client that sends one request after another until it is told to leave.

    After a failed request, it waits a little longer.
    """

    pace = 0.03
    """Seconds between two requests."""

    def __init__(self, address: tuple[str, int], number: int) -> None:
        super().__init__(daemon=True)
        self.browser = Browser(address)
        self.number = number
        self.reports: list[Report] = []
        self.failure: str | None = None
        self.leaving = threading.Event()

    def run(self) -> None:
        while not self.leaving.is_set():
            try:
                self.reports.append(self.send(len(self.reports)))
            except Exception as error:  # Load raises an error about it in the test's thread.
                self.failure = f"{time.monotonic():.2f} {error!r}"
                break
            self.leaving.wait(self.pace if self.reports[-1].outcome is Outcome.THANKED else 0.2)
        self.browser.close()

    def send(self, turn: int) -> Report:
        raise NotImplementedError

    def report(self, about: str, check: Callable[[Response], Outcome], *request: str) -> Report:
        """Send a request, check its response, and return the report."""
        sent = time.monotonic()
        try:
            outcome = check(self.browser.send(*request))
        except UnreadError:
            outcome = Outcome.UNREAD
        except UnansweredError:
            outcome = Outcome.UNANSWERED
        return Report(about, outcome, sent, time.monotonic())


class Signer(Client):
    """Signs as Ada, each time with a new email address."""

    def send(self, turn: int) -> Report:
        return self.sign(f"ada{self.number}.{turn}@example.org")

    def sign(self, mailbox: str) -> Report:
        body = urlencode(ADA | {"email": mailbox})
        return self.report(mailbox, lambda response: outcome_for_signer(response, mailbox), "POST", SIGNATURES, body)


class Reader(Client):
    """Reads the campaign page or its feed."""

    pace = 0.1

    def send(self, turn: int) -> Report:
        path = (PATH, f"{PATH}/feed")[self.number % 2]
        return self.report(path, outcome_for_reader, "GET", path)


def outcome_for_signer(response: Response, mailbox: str) -> Outcome:
    """Return the outcome that a response tells the signer.

    Raises:
        AssertionError: The response is neither a thank-you nor a clear error that keeps the input.
    """
    seen = (response.status, dict(response.headers), response.text[:2000])
    assert response.headers["Campaign-Answer"], seen
    assert "Traceback" not in response.text, seen
    if response.status == 200:
        assert response.text.lstrip().startswith('<div class="thanks">'), seen
        assert FILE.thanks in response.text, seen
        return Outcome.THANKED
    assert response.status in (503, 429), seen
    assert 'class="notice wrong" role="alert"' in response.text, seen
    assert "Thank You" not in response.text, seen
    if "<form" in response.text:
        typed = {**ADA, "email": mailbox}
        for field in ("name", "email", "postal_code"):
            assert f'value="{typed[field]}"' in response.text, seen
        assert '<option value="US" selected>' in response.text, seen
    else:
        # The response is a notice above the form, which the page keeps.
        assert response.headers["HX-Retarget"] == "#notice", seen
    return Outcome.REFUSED


def outcome_for_reader(response: Response) -> Outcome:
    """Return the outcome that a response to an htmx request tells the reader.

    Raises:
        AssertionError: The response is neither the page nor a proper error.
    """
    seen = (response.status, dict(response.headers), response.text[:2000])
    assert response.headers["Campaign-Answer"], seen
    if response.status == 200:
        assert FILE.title in response.text or '<div id="feed"' in response.text, seen
        return Outcome.THANKED
    assert response.status in (503, 429), seen
    # With htmx an error leaves the page unchanged; without htmx the error page says what is wrong.
    assert response.headers["HX-Reswap"] == "none" or WORDS[503].title in response.text, seen
    return Outcome.REFUSED
