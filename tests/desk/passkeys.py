"""A security key in software, so that tests can create and use passkeys without a browser."""

import hashlib
import json
import re
import secrets
from dataclasses import dataclass, field
from html import unescape
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from webauthn.helpers import bytes_to_base64url
from werkzeug.test import TestResponse

from campaign.models.account import Passkey
from campaign.storage.database import db
from tests.desk.people import AtDesk, browser, enter_password, is_in, token_of

HOST = "localhost"
EMAIL = "grace@example.org"
"""The email address of the user in the fixture `newcomer`."""


@dataclass
class Key:
    """A security key with one passkey."""

    id: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    scheme: str = "http"
    """The scheme of the page in the browser."""

    def make(self, options: dict[str, Any]) -> str:
        """Return the response to a site that requests a new passkey."""
        numbers = self.private.public_key().public_numbers()
        point = {-2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        public = cbor2.dumps({1: 2, 3: -7, -1: 1} | point)
        data = _authenticator_data(0x45) + bytes(16) + len(self.id).to_bytes(2, "big") + self.id + public
        statement = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        client = _client_data("webauthn.create", options["challenge"], self.scheme)
        return self._answer(clientDataJSON=client, attestationObject=statement)

    def use(self, options: dict[str, Any]) -> str:
        """Return the response to a site that requests a passkey, even if it requests a different one."""
        data, client = _authenticator_data(0x05), _client_data("webauthn.get", options["challenge"], self.scheme)
        signature = self.private.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
        return self._answer(clientDataJSON=client, authenticatorData=data, signature=signature)

    def _answer(self, **response: bytes) -> str:
        name = bytes_to_base64url(self.id)
        encoded = {key: bytes_to_base64url(value) for key, value in response.items()}
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": encoded})


def _authenticator_data(flags: int) -> bytes:
    return hashlib.sha256(HOST.encode()).digest() + bytes([flags]) + bytes(4)


def _client_data(kind: str, challenge: str, scheme: str) -> bytes:
    return json.dumps({"type": kind, "challenge": challenge, "origin": f"{scheme}://{HOST}"}).encode()


@dataclass(frozen=True)
class PasskeyRequest:
    """A page that requests a passkey: the path for the response, and the options."""

    path: str
    token: str
    options: dict[str, Any]


def request_in(page: str) -> PasskeyRequest:
    """Return the passkey request in a page."""
    form = re.search(r'<form action="([^"]+)" method="post" data-passkey[^=]*="([^"]+)"', page)
    assert form, page
    return PasskeyRequest(unescape(form[1]), token_of(page), json.loads(unescape(form[2])))


def ask_for_new(client: FlaskClient, name: str = "mine") -> PasskeyRequest:
    """Enter a name for a new passkey, and return the request for it."""
    token = token_of(client.get("/desk/account/passkeys").text)
    form = {"csrf_token": token, "name": name, "usage": "secondary"}
    return request_in(FlaskClient.post(client, "/desk/account/passkeys", data=form).text)


def hand_over(client: FlaskClient, to: PasskeyRequest, credential: str) -> TestResponse:
    """Send the key's response."""
    form = {"csrf_token": to.token, "credential": credential}
    return FlaskClient.post(client, to.path, data=form)


def add_passkey(client: FlaskClient, key: Key, name: str = "mine") -> TestResponse:
    """Add the key's passkey to the account."""
    question = ask_for_new(client, name)
    return hand_over(client, question, key.make(question.options))


def use_passkey(client: FlaskClient, key: Key) -> TestResponse:
    """Use the passkey at sign-in, after the password."""
    token = token_of(client.get("/desk/sign-in/passkey").text)
    question = request_in(FlaskClient.post(client, "/desk/sign-in/passkey", data={"csrf_token": token}).text)
    return hand_over(client, question, key.use(question.options))


def begin_first_passkey(app: Flask, email: str = EMAIL) -> AtDesk:
    """Return a browser in which a newcomer has chosen a passkey as the first second factor."""
    client = browser(app)
    assert enter_password(client, email).location == "/desk/account/app"
    choose_first_passkey(client)
    return client


def choose_first_passkey(client: FlaskClient) -> str:
    """Choose a passkey as the first second factor, and return the location of the redirect."""
    token = token_of(client.get("/desk/account/app").text)
    return str(FlaskClient.post(client, "/desk/account/first-passkey", data={"csrf_token": token}).location)


def sign_in_with_first_passkey(app: Flask, key: Key) -> AtDesk:
    """Return a browser in which a newcomer has signed in by adding this first passkey."""
    client = begin_first_passkey(app)
    assert add_passkey(client, key).location == "/desk/account/passkey-added"
    assert is_in(client)
    return client


def count_passkeys() -> int:
    """Return the number of passkeys in the database."""
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(Passkey)) or 0
