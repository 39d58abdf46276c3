"""A security key of software, so that passkeys can be made and used without a browser, by whoever has any cookie."""

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
from flask.testing import FlaskClient
from webauthn.helpers import bytes_to_base64url
from werkzeug.test import TestResponse

from tests.desk.people import token_of

HOST = "localhost"


@dataclass
class Key:
    """A key with one passkey."""

    id: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def make(self, options: dict[str, Any]) -> str:
        """What it answers to a site that asks for a new passkey."""
        numbers = self.private.public_key().public_numbers()
        point = {-2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        public = cbor2.dumps({1: 2, 3: -7, -1: 1} | point)
        data = _about_itself(0x45) + bytes(16) + len(self.id).to_bytes(2, "big") + self.id + public
        statement = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        client = _client_data("webauthn.create", options["challenge"])
        return self._answer(clientDataJSON=client, attestationObject=statement)

    def use(self, options: dict[str, Any]) -> str:
        """What it answers to a site that asks for its passkey, whichever that asks for."""
        data, client = _about_itself(0x05), _client_data("webauthn.get", options["challenge"])
        signature = self.private.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
        return self._answer(clientDataJSON=client, authenticatorData=data, signature=signature)

    def _answer(self, **response: bytes) -> str:
        name = bytes_to_base64url(self.id)
        said = {key: bytes_to_base64url(value) for key, value in response.items()}
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": said})


def _about_itself(flags: int) -> bytes:
    return hashlib.sha256(HOST.encode()).digest() + bytes([flags]) + bytes(4)


def _client_data(kind: str, challenge: str) -> bytes:
    return json.dumps({"type": kind, "challenge": challenge, "origin": f"http://{HOST}"}).encode()


@dataclass(frozen=True)
class Asked:
    """The page on which a site asks for a passkey: where the answer goes, and what is asked."""

    address: str
    token: str
    options: dict[str, Any]


def asked(page: str) -> Asked:
    """What that page asks."""
    form = re.search(r'<form action="([^"]+)" method="post" data-passkey[^=]*="([^"]+)"', page)
    assert form, page
    return Asked(unescape(form[1]), token_of(page), json.loads(unescape(form[2])))


def ask_for_new(client: FlaskClient, name: str = "mine") -> Asked:
    """Name a new passkey."""
    token = token_of(client.get("/desk/account/passkeys").text)
    form = {"csrf_token": token, "name": name, "usage": "secondary"}
    return asked(FlaskClient.post(client, "/desk/account/passkeys", data=form).text)


def hand_over(client: FlaskClient, to: Asked, credential: str) -> TestResponse:
    """Send what the key has answered."""
    form = {"csrf_token": to.token, "credential": credential}
    return FlaskClient.post(client, to.address, data=form)


def add_passkey(client: FlaskClient, key: Key, name: str = "mine") -> TestResponse:
    """Add the key's passkey."""
    question = ask_for_new(client, name)
    return hand_over(client, question, key.make(question.options))


def use_passkey(client: FlaskClient, key: Key) -> TestResponse:
    """After the password: the passkey."""
    token = token_of(client.get("/desk/sign-in/passkey").text)
    question = asked(FlaskClient.post(client, "/desk/sign-in/passkey", data={"csrf_token": token}).text)
    return hand_over(client, question, key.use(question.options))
