"""The pages that show an organizer each message to signers of a campaign, as text and as formatted."""

from flask import Response, abort, current_app, make_response, render_template, request
from flask.typing import ResponseReturnValue

from campaign.accounts.permissions import Right
from campaign.campaigns import translations
from campaign.desk.access import allow
from campaign.desk.campaigns.blueprint import campaigns
from campaign.languages import speaking
from campaign.languages.speaking import lazy_gettext
from campaign.mail import about_signatures, composing
from campaign.models.campaign import Campaign

WHEN = {
    "confirm": lazy_gettext("Answer to a signature that must be confirmed"),
    "reminder": lazy_gettext("Reminder to confirm, after two days or more"),
    "thanks": lazy_gettext("Answer to a signature that is listed at once"),
    "already": lazy_gettext("Answer to another signature from the same mailbox"),
    "link": lazy_gettext("Answer to a request for the link to one’s signature"),
}


@campaigns.get("/campaigns/<slug>/messages")
@allow(Right.WRITE)
def messages(campaign: Campaign) -> ResponseReturnValue:
    """Show each message to signers as text, in one of the campaign's languages."""
    edition = _edition(campaign)
    shown = {name: _rendered(name, edition)[:2] for name in about_signatures.NAMES}
    tabs = [(tag, translations.english_name(language)) for tag, language in translations.editions(campaign)]
    return render_template(
        "desk/campaigns/messages.html", campaign=campaign, edition=edition, shown=shown, when=WHEN, languages=tabs
    )


@campaigns.get("/campaigns/<slug>/messages/<name>")
@allow(Right.WRITE)
def message(campaign: Campaign, name: str) -> ResponseReturnValue:
    """Show a message with its formatting, alone."""
    if name not in about_signatures.NAMES:
        abort(404)
    answer: Response = make_response(_rendered(name, _edition(campaign))[2])
    # The message has its styles within it. Nothing else may be loaded, and no script runs.
    answer.headers["Content-Security-Policy"] = "sandbox; default-src 'none'; style-src 'unsafe-inline'"
    return answer


def _edition(campaign: Campaign) -> Campaign:
    return translations.edition(campaign, request.args.get("language", "")) or abort(404)


def _rendered(name: str, edition: Campaign) -> tuple[str, str, str]:
    """Return a message's subject, text, and HTML."""
    settings = current_app.config["SETTINGS"]
    with speaking.use(edition.language) as language:
        return composing.render(about_signatures.sample(name, edition, settings), language, settings)
