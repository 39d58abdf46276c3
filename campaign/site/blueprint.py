"""The blueprint of the public site, to which the other modules add their routes."""

from flask import Blueprint

site = Blueprint("site", __name__)
