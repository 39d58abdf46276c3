"""What the views of campaigns share: finding the campaign of a request, and marking responses as cacheable."""

from flask import Response, abort, make_response, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from campaign.campaigns import lookup
from campaign.languages import speaking
from campaign.models.campaign import Campaign
from campaign.web import addresses


def find_or_404(slug: str, tag: str | None, *, to_sign: bool = False, or_main: bool = False) -> Campaign:
    """Return the public campaign that has or once had this slug, in a language, or respond with 404.

    Readers are redirected from a former slug to the current one, and to the usual spelling of the tag.

    Args:
        slug: The slug.
        tag: The tag of the language; None for the main language.
        to_sign: Whether this is a signature. It needs no redirect, and counts even if the translation was removed.
        or_main: Whether to redirect to the main language if there is no such translation: it may have been removed
            while its page was open.
    """
    campaign = lookup.find_public(slug, tag or "", to_sign=to_sign)
    if campaign is None and tag and (to_sign or or_main):
        campaign = lookup.find_public(slug, to_sign=to_sign)
    if campaign is None:
        abort(404)
    usual = {"slug": campaign.slug, "tag": campaign.tag or None}
    if usual != {"slug": slug, "tag": tag} and not to_sign:
        abort(addresses.moved(url_for(request.endpoint or "", **(request.view_args or {}) | usual)))
    speaking.choose(campaign.language)
    return campaign


def is_htmx() -> bool:
    """Return whether htmx sent the request and expects a partial."""
    return request.headers.get("HX-Request") == "true"


def private(body: str | BaseResponse, status: int | None = None) -> Response:
    """Return a response for one signer: it isn't stored anywhere, and the page's URL, a secret, isn't passed on.

    Its own links and forms still tell our site that they come from it. With "no-referrer", browsers would send
    "Origin: null" with our own form.
    """
    answer = make_response(body)
    answer.status_code = status or answer.status_code
    answer.cache_control.no_store = True
    answer.headers["Referrer-Policy"] = "strict-origin"
    answer.headers["X-Robots-Tag"] = "noindex"
    return answer


def cacheable(body: str | Response) -> Response:
    """Mark a response as the same for everyone, so that caches may store it. Turn it into a 304 if it is unchanged."""
    answer = make_response(body)
    answer.cache_control.public = True
    # Browsers revalidate each time. A proxy caches the page for a second, and for a day while every node is down
    # (RFC 5861). While it revalidates, it may serve the old page for one more second, but no longer: visitors must see
    # the current page. Browsers may do so, too. One second is shorter than AFTER_SIGNING in site.js.
    answer.cache_control.max_age = 0
    answer.cache_control.s_maxage = 1
    answer.cache_control.stale_while_revalidate = 1
    answer.cache_control.stale_if_error = 86_400
    answer.add_etag()
    answer.make_conditional(request)
    return answer
