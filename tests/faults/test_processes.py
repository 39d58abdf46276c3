"""The site's own processes: killed, reloaded, stopped."""

import os
import signal

from campaign.models import Campaign
from tests.faults.load import Load
from tests.faults.people import Told
from tests.faults.site import Site


def test_when_a_worker_is_killed_no_thanked_signature_is_lost_and_everybody_can_sign_again(
    site: Site, load: Load, campaign: Campaign
) -> None:
    killed = site.workers()[0]
    with load.trouble(Told.UNREAD, Told.UNANSWERED):
        os.kill(killed, signal.SIGKILL)
    assert killed not in site.workers()
    load.finish(campaign.id)


def test_when_the_master_is_killed_the_site_is_started_again_and_everybody_can_sign_again(
    site: Site, load: Load, campaign: Campaign
) -> None:
    killed = site.master
    with load.trouble(Told.UNREAD, Told.UNANSWERED):
        os.kill(killed, signal.SIGKILL)
    assert site.master != killed
    load.finish(campaign.id)


def test_at_a_graceful_reload_everybody_is_thanked(site: Site, load: Load, campaign: Campaign) -> None:
    master, before = site.master, set(site.workers())
    with load.trouble():
        os.kill(master, signal.SIGHUP)
        while before & set(site.workers()):
            load.await_thanks(30)
    assert site.master == master
    load.finish(campaign.id)


def test_at_a_stop_whoever_was_heard_is_answered_and_the_others_can_sign_after_the_next_start(
    site: Site, load: Load, campaign: Campaign
) -> None:
    with load.trouble(Told.UNREAD):
        site.stop()
        load.await_word(Told.UNREAD)
        site.start()
    load.finish(campaign.id)
