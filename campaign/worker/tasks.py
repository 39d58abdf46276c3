"""The list of all tasks of the background worker.

To add a task, write its function as `task.py` explains, in the package of its subject. Then add it here.
"""

from campaign.moderation import indexing
from campaign.statistics import roll_ups
from campaign.worker import drafts, expiry, reminders
from campaign.worker.export_process import ExportProcess
from campaign.worker.mail_thread import MailThread
from campaign.worker.task import Task

_exports = ExportProcess()
_mail = MailThread()
TASKS = (
    Task("search index", indexing.index_piece),
    Task("statistics", roll_ups.roll_up),
    # Before the exports, because stopping those takes seconds.
    Task("mail", _mail.look, shared=True, stop=_mail.stop),
    Task("exports", _exports.look, shared=True, stop=_exports.stop),
    Task("expiry", expiry.delete_expired),
    Task("sittings", drafts.end_sittings),
    Task("reminders", reminders.remind),
)
