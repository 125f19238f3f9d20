"""Group 7: a token is what we signed, in the one way that we sign, and nothing else gets in under its name."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

import pytest

from tests.attacks import signing
from tests.attacks.signing import Keys, Request
from tests.attacks.tokens import HEADER, add_user, bearer, claims, forged, login, native, token_of
from tests.attacks.world import World

ADMINISTRATOR = {"sub": "admin", "admin": True}

# Other headers than ours, each with what a careless library would make of it.
HEADERS: dict[str, Any] = {
    "none": {"alg": "none", "typ": "JWT"},
    "None": {"alg": "None", "typ": "JWT"},
    "nOnE": {"alg": "nOnE"},
    "no algorithm": {"typ": "JWT"},
    "empty algorithm": {"alg": "", "typ": "JWT"},
    "list of algorithms": {"alg": ["none", "HS256"], "typ": "JWT"},
    "HS512": {"alg": "HS512", "typ": "JWT"},
    "RS256": {"alg": "RS256", "typ": "JWT"},
    "ES256": {"alg": "ES256", "typ": "JWT"},
    "PS256": {"alg": "PS256", "typ": "JWT"},
    "kid of a file": {"alg": "HS256", "typ": "JWT", "kid": "/dev/null"},
    "kid of SQL": {"alg": "HS256", "typ": "JWT", "kid": "' UNION SELECT '' --"},
    "jwk": {"alg": "HS256", "typ": "JWT", "jwk": {"kty": "oct", "k": ""}},
    "jku": {"alg": "HS256", "typ": "JWT", "jku": "http://127.0.0.1:1/keys"},
    "x5c": {"alg": "HS256", "typ": "JWT", "x5c": ["AAAA"]},
    "unencoded": {"alg": "HS256", "typ": "JWT", "b64": False, "crit": ["b64"]},
    "critical": {"alg": "HS256", "typ": "JWT", "crit": ["admin"], "admin": True},
    "as ours": HEADER,
}


def refused(world: World, token: str) -> None:
    """A token opens neither door, in no place where one can stand."""
    request = world.hosted(Request("GET", "/"))
    unknown = Keys("unknown", "any")
    for attempt in (
        bearer(request, token),
        request.with_headers(x_amz_security_token=token),
        signing.v4(unknown, request.with_headers(x_amz_security_token=token)),
        signing.v4(world.alice, request.with_headers(x_amz_security_token=token)),
        signing.v2(unknown, request.with_headers(x_amz_security_token=token)),
    ):
        reply = world.send(attempt)
        assert (reply.status, reply.code) == (400, "InvalidToken"), attempt
    answer = native(world, "GET", "/buckets", token)
    assert (answer.status_code, answer.json()["message"]) == (401, "invalid token")


@pytest.fixture
def payload(world: World) -> dict[str, Any]:
    """What a good token of alice's says, made the administrator's."""
    good = claims(token_of(world, "alice"))
    return {**good, **ADMINISTRATOR, "uid": claims(token_of(world, "admin"))["uid"]}


@pytest.mark.parametrize("header", HEADERS)
def test_cve_2026_33322_no_algorithm_but_ours(world: World, payload: dict[str, Any], header: str) -> None:
    """A header does not choose how a token is verified: with no signature, or one by a key that anybody has, it is
    none.
    """
    for key in (None, b"", b"secret", payload["iss"].encode(), json.dumps(HEADERS[header]).encode()):
        refused(world, forged(HEADERS[header], payload, key))


def test_what_lies_about_signs_no_token(world: World, payload: dict[str, Any]) -> None:
    """No other secret of the system is the key of tokens: not an access key's, not the one that encrypts those."""
    vault = (world.server.data / "secret.key").read_bytes()
    for key in (
        vault,
        hashlib.sha256(vault).digest(),
        vault.hex().encode(),
        world.admin.secret.encode(),
        world.alice.secret.encode(),
        world.admin.access.encode(),
    ):
        refused(world, forged(HEADER, payload, key))


def test_no_part_of_a_token_is_another_tokens(world: World) -> None:
    """A signature is for its own claims; a token cut short, with parts swapped, doubled or left out, is none."""
    alice, bob = token_of(world, "alice"), token_of(world, "bob")
    header, body, signature = alice.split(".")
    _, other, other_signature = bob.split(".")
    for token in (
        f"{header}.{other}.{signature}",
        f"{header}.{body}.{other_signature}",
        f"{header}.{body}.",
        f"{header}.{body}",
        f"{header}..{signature}",
        f".{body}.{signature}",
        f"{alice}.{signature}",
        f"{header}.{body}.{signature}.{signature}.{signature}",
        f"{alice}{alice}",
        alice[:-1],
        alice.replace(".", ".=", 1),
        json.dumps({"payload": body, "protected": header, "signature": signature}).replace(" ", ""),
    ):
        refused(world, token)


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": None},
        {"exp": "9999999999"},
        {"exp": 9_999_999_999},
        {"exp": 1e300},
        {"exp": -1},
        {"iat": 9_999_999_999},
        {"nbf": 9_999_999_999},
        {"uid": None},
        {"jti": None},
    ],
    ids=str,
)
def test_a_token_ends(world: World, payload: dict[str, Any], changes: dict[str, Any]) -> None:
    """Claims are not for a client to choose, least of all until when they hold: without our key nothing is signed."""
    changed = {name: value for name, value in {**payload, **changes}.items() if value is not None}
    refused(world, forged(HEADER, changed, b"guessed"))


@pytest.mark.parametrize(
    "token", ["null", "undefined", "a.b.c", ".", "..", "=", "0", "Bearer", "%00", "../../x", "e30.e30."]
)
def test_what_is_no_token_at_all(world: World, token: str) -> None:
    """What programs send that have no token is no token."""
    refused(world, token)


def test_a_token_that_is_too_long(world: World) -> None:
    """A token longer than any of ours is refused without being looked at."""
    refused(world, token_of(world, "alice") + "a" * 8000)


def test_an_expired_token_is_refused(world: World) -> None:
    """After its time a token is as good as none, whatever else comes with it."""
    name, keys = add_user(world, account=True)
    reply = native(world, "POST", f"/users/{name}", json={"password": "pass word of a test", "expires_in": 1})
    token = reply.json()["token"]
    request = world.hosted(Request("GET", "/"))
    while time.time() < claims(token)["exp"]:
        world.send(bearer(request, token))
    for attempt in (
        bearer(request, token),
        signing.v4(keys, request.with_headers(x_amz_security_token=token)),
        signing.v4(Keys("unknown", "any"), request.with_headers(x_amz_security_token=token)),
    ):
        reply_ = world.send(attempt)
        assert (reply_.status, reply_.code) == (400, "ExpiredToken")
    answer = native(world, "GET", "/buckets", token)
    assert (answer.status_code, answer.json()["message"]) == (401, "token expired")


def test_a_revoked_token_is_refused_however_it_is_spelled(world: World) -> None:
    """The bits behind a signature can be anything, so the same token has several spellings: all of them are revoked."""
    name, _ = add_user(world, account=True)
    token = login(world, name)
    assert native(world, "DELETE", "/tokens", token, json={"token": token}).status_code == 200
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for last in letters:
        refused_ = world.send(bearer(world.hosted(Request("GET", "/")), token[:-1] + last))
        assert (refused_.status, refused_.code) == (400, "InvalidToken")
    answer = native(world, "GET", "/buckets", token)
    assert (answer.status_code, answer.json()["message"]) == (401, "token revoked")


def test_ghsa_5qfg_nobody_gets_a_token_without_a_password(world: World) -> None:
    """There is no other way to a token: what Amazon's token service is asked is answered to nobody."""
    for action in ("AssumeRole", "GetSessionToken", "GetFederationToken", "AssumeRoleWithWebIdentity"):
        query = f"Action={action}&Version=2011-06-15&RoleArn=arn:aws:iam::1:role/admin&WebIdentityToken=x"
        for request in (
            Request("POST", "/", body=query.encode()).with_headers(content_type="application/x-www-form-urlencoded"),
            Request("POST", "/", query),
            Request("GET", "/", query),
        ):
            reply = world.send(request)
            assert reply.status in {400, 403, 405, 501}
            assert b"Credentials" not in reply.body
            assert b"SessionToken" not in reply.body
    for path in ("/users/admin", "/tokens", "/users", "/login", "/sts"):
        for body in ({}, {"password": ""}, {"password": None}, {"password": ["x"]}, {"password": {"$ne": ""}}):
            answer = native(world, "POST", path, json=body)
            assert answer.status_code in {400, 401, 405, 501}
            assert "eyJ" not in answer.text


def test_a_good_token_is_good(world: World) -> None:
    """The same requests with a token of alice's, or none too many, are answered: the others fail for what they are."""
    token = token_of(world, "alice")
    request = world.hosted(Request("GET", "/"))
    for attempt in (
        bearer(request, token),
        request.with_headers(x_amz_security_token=token),
        signing.v4(Keys("unknown", "any"), request.with_headers(x_amz_security_token=token)),
        signing.v4(world.alice, request.with_headers(x_amz_security_token=token)),
    ):
        assert world.send(attempt).status == 200
    assert native(world, "GET", "/buckets", token).status_code == 200
