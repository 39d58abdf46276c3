"""Limits on request bodies: bytes and fields, checked before anything parses a form.

Every route accepts MOST_BYTES. The desk's editor and its live preview accept more (desk/uploads.py decides for whom).
nginx has the same limits (deploy/nginx.conf).
"""

from io import BytesIO
from typing import IO, Any

import flask
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from campaign.campaigns.letter.markdown import LETTER_LENGTH

MOST_BYTES = 64 * 1024
"""The largest request body. A sign form whose fields are full of percent-encoded four-byte characters has 8 KB."""
TEXT_BYTES = 12 * LETTER_LENGTH + MOST_BYTES
"""The largest body for the live preview, 650 KB. It sends a whole campaign percent-encoded: a four-byte character of
the letter takes twelve bytes. The other fields fit into MOST_BYTES, except for `started_from`, which has the campaign
before it was edited, compressed. It fits, too, because no letter consists of four-byte characters alone."""
UPLOAD_BYTES = 26 * 1024 * 1024
"""The largest body for the editor's form: a picture of 25 MB and the text."""
MOST_FIELDS = 200
"""The most fields in a form. The largest form is the signature table: fifty checkboxes and a dozen search fields."""


class FormParser(FormDataParser):
    """Werkzeug's form parser with a limit on URL-encoded fields. It also drops parts without a name.

    Werkzeug itself limits only multipart forms (MAX_FORM_PARTS).
    """

    def parse(self, stream: IO[bytes], mimetype: str, *args: Any, **kwargs: Any) -> Any:
        """Parse a form.

        Raises:
            RequestEntityTooLarge: The form is over the request's byte limit or has more than MOST_FIELDS fields.
        """
        if mimetype == "application/x-www-form-urlencoded":
            body = stream.read()
            if body.count(b"&") >= MOST_FIELDS:
                raise RequestEntityTooLarge
            stream = BytesIO(body)
        rest, form, files = super().parse(stream, mimetype, *args, **kwargs)
        # RFC 7578 requires names. Werkzeug uses None for a missing name, which no other code expects.
        for name, file in files.items(multi=True):
            if name is None:
                file.close()
        return rest, self._named(form), self._named(files)

    def _named(self, parts: Any) -> Any:
        return self.cls(part for part in parts.items(multi=True) if part[0] is not None) if None in parts else parts


class Request(flask.Request):
    """A request whose form has a limited number of fields."""

    form_data_parser_class = FormParser


def init_app(app: flask.Flask) -> None:
    """Apply the limits to every route of the app. Call this before registering functions that run before requests."""
    app.request_class = Request
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    app.config["MAX_FORM_PARTS"] = MOST_FIELDS


def refuse_large_body(request: flask.Request) -> None:
    """Refuse a request whose Content-Length exceeds the limit of its route, without reading the body.

    A body without Content-Length is read up to the limit, and only if a view reads it.

    Raises:
        RequestEntityTooLarge: Content-Length is over the limit.
    """
    if (request.content_length or 0) > (request.max_content_length or 0):
        raise RequestEntityTooLarge
