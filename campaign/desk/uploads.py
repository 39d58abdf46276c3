"""Upload limits of the desk: which requests may have large bodies or files, checked before a form is parsed."""

from flask import abort, render_template, request, session
from flask.typing import ResponseReturnValue
from flask_security import current_user
from werkzeug.exceptions import BadRequest

from campaign.accounts import permissions
from campaign.accounts.permissions import Right
from campaign.desk.access import me
from campaign.storage.database import STORAGE_ERRORS, db
from campaign.web.limits import body_limits
from campaign.web.request_checks import SAFE_METHODS

_EDITORS = {"campaigns.new": Right.CREATE, "campaigns.edit": Right.WRITE}
"""The endpoints that accept a picture, and the right that each requires."""
_PREVIEWS = {"campaigns.preview_new", "campaigns.preview", "campaigns.autosave_new", "campaigns.autosave"}
"""The endpoints that accept the text of a campaign without a picture."""
_FILE_FIELDS = {"picture"}
"""The fields of the desk's forms that accept a file."""


def limit_body() -> ResponseReturnValue | None:
    """Set the body limit of this request, and refuse a body that exceeds it.

    A browser that has signed in may send a campaign's text to the editor and its preview, even after its session has
    ended, so that the response can give the text back. Only an organizer who may use the editor can upload a picture.

    Raises:
        Forbidden: The account may not use the editor.
        RequestEntityTooLarge: The declared length exceeds the limit.
    """
    endpoint = request.endpoint or ""
    if request.method not in SAFE_METHODS and (endpoint in _EDITORS or endpoint in _PREVIEWS):
        request.max_content_length = body_limits.TEXT_BYTES if _has_signed_in() else body_limits.MOST_BYTES
        length = request.content_length
        is_large = length is None or length > request.max_content_length
        is_upload = endpoint in _EDITORS and request.mimetype == "multipart/form-data"
        if is_large and is_upload and _may_upload(_EDITORS[endpoint]):
            request.max_content_length = body_limits.UPLOAD_BYTES
        elif is_large and length is not None and (is_upload or not _has_signed_in()):
            return render_template("desk/sign_in/signed_out.html", fields=None), 413
    body_limits.refuse_large_body(request)
    return None


def _has_signed_in() -> bool:
    """Return whether this browser has signed in and not signed out; its session may have expired since.

    Our signed cookie contains this key of Flask-Login only after a sign-in.
    """
    return "_user_id" in session


def refuse_foreign_files() -> None:
    """Refuse a file sent in a text field, because forms would pass it to code that expects a string.

    Raises:
        BadRequest: The request has such a file.
    """
    if request.method not in SAFE_METHODS and request.files.keys() - _FILE_FIELDS:
        raise BadRequest


def _may_upload(right: Right) -> bool:
    try:
        if not current_user.is_authenticated:
            return False
    except STORAGE_ERRORS:
        # The error page repeats the form, so the form must be readable.
        if _has_signed_in():
            request.max_content_length = body_limits.UPLOAD_BYTES
        raise
    is_allowed = permissions.may(me(), right) or abort(403)
    # The upload may take minutes to arrive, and PostgreSQL ends a transaction that is idle for so long.
    db.session.close()
    return is_allowed
