"""Faults of the site's own processes: killed, reloaded, stopped."""

import os
import signal

from campaign.models.campaign import Campaign
from tests.faults.load import Load
from tests.faults.people import Outcome
from tests.faults.site import Site


def test_killed_worker_loses_no_thanked_signature(site: Site, load: Load, campaign: Campaign) -> None:
    killed = site.workers()[0]
    with load.fault(Outcome.UNREAD, Outcome.UNANSWERED):
        os.kill(killed, signal.SIGKILL)
    assert killed not in site.workers()
    load.finish(campaign.id)


def test_killed_master_is_restarted_and_loses_no_thanked_signature(site: Site, load: Load, campaign: Campaign) -> None:
    killed = site.master
    with load.fault(Outcome.UNREAD, Outcome.UNANSWERED):
        os.kill(killed, signal.SIGKILL)
    assert site.master != killed
    load.finish(campaign.id)


def test_graceful_reload_interrupts_no_request(site: Site, load: Load, campaign: Campaign) -> None:
    master, before = site.master, set(site.workers())
    with load.fault():
        os.kill(master, signal.SIGHUP)
        while before & set(site.workers()):
            load.await_thanks(30)
    assert site.master == master
    load.finish(campaign.id)


def test_stop_answers_every_request_that_was_read(site: Site, load: Load, campaign: Campaign) -> None:
    with load.fault(Outcome.UNREAD):
        site.stop()
        load.await_outcome(Outcome.UNREAD)
        site.start()
    load.finish(campaign.id)
