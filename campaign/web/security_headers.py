"""Security headers for every response."""

from functools import lru_cache

from werkzeug.wrappers import Response

from campaign.settings import Settings


@lru_cache(maxsize=2)
def headers(settings: Settings, *, images: str = "'self'") -> dict[str, str]:
    """Return the security headers. `images` lists the allowed sources of images."""
    scripts = "'self'" if settings.htmx_url.startswith("/") else f"'self' {settings.htmx_url}"
    policy = {
        "default-src": "'none'",
        "script-src": scripts,
        "style-src": "'self'",
        "img-src": images,
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    always = {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "browsing-topics=(), camera=(), geolocation=(), microphone=()",
        # A share link must not tell the other site that the visitor comes from a thank-you page. With "no-referrer",
        # browsers would send "Origin: null" with our own form.
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        # Tells site.js that a response is ours, and not from a proxy or a hotel's login page.
        "Campaign-Answer": "1",
        "X-Frame-Options": "DENY",
    }
    if settings.site_url.startswith("https:"):
        # Two years, as hstspreload.org requires. Without subdomains: we don't know whether they support https.
        always["Strict-Transport-Security"] = "max-age=63072000"
    return always


def add_headers(response: Response, settings: Settings, *, images: str = "'self'") -> Response:
    """Add the security headers to a response, except those that the view has set."""
    set_already = {name for name, _ in response.headers}
    ours = headers(settings, images=images)
    response.headers.extend((name, value) for name, value in ours.items() if name not in set_already)
    return response
