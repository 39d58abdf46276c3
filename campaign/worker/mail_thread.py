"""The worker's task that sends mail, in a thread of its own, so that a slow mail server delays no other task."""

import threading
from datetime import timedelta

from flask import current_app

from campaign.mail.sending import Sender
from campaign.storage.database import db

LOOK_AGAIN = timedelta(seconds=5)
"""How often the worker looks whether the thread still runs."""
GRACE_SECONDS = 4
"""How long the worker waits for the thread to finish the current message. The worker has seconds to end."""


class MailThread:
    """The thread that sends mail for this worker."""

    def __init__(self) -> None:
        """Start without a thread."""
        self._thread: threading.Thread | None = None
        self._sender: Sender | None = None

    def look(self) -> timedelta:
        """Start the thread, if mail is set up and it doesn't run."""
        settings = current_app.config["SETTINGS"]
        if settings.mail_url and not (self._thread and self._thread.is_alive()):
            self._sender = Sender(db.engine, settings)
            self._thread = threading.Thread(target=self._sender.run, name="mail", daemon=True)
            self._thread.start()
        return LOOK_AGAIN

    def stop(self) -> None:
        """End the thread. What it has leased and not sent is free for other workers."""
        if self._sender and self._thread:
            self._sender.stop()
            self._thread.join(GRACE_SECONDS)
            if self._thread.is_alive():
                self._sender.give_back()
