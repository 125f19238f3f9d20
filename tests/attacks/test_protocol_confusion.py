"""Group 10: what was made for one door, or by one mechanism, is worth nothing at another."""

from __future__ import annotations

import http.client
from collections.abc import Callable

import pytest
import requests

from tests.attacks import signing
from tests.attacks.signing import Keys, Request
from tests.attacks.tokens import bearer, native, token_of
from tests.attacks.world import World

Sign = Callable[[Keys, Request], Request]

SIGNATURES: dict[str, Sign] = {
    "version 4": signing.v4,
    "version 4 presigned": signing.v4_url,
    "version 2": signing.v2,
    "version 2 presigned": signing.v2_url,
}


def with_token(request: Request, how: str, token: str) -> Request:
    """A request with a token where this kind of signature has it, to be signed."""
    if how == "version 4 presigned":
        return request.with_query(f"X-Amz-Security-Token={token}")
    return request.with_headers(x_amz_security_token=token)


def sent(world: World, request: Request) -> requests.Response:
    """Sends a request as it is, to whichever door its path belongs to."""
    url = f"{world.server.url}{request.path}" + (f"?{request.query}" if request.query else "")
    return requests.request(request.method, url, headers=dict(request.headers), data=request.body)


@pytest.mark.parametrize("how", SIGNATURES)
@pytest.mark.parametrize(
    "path", ["/v1/buckets", "/v1/users", "/v1/users/admin", "/v1/daemon", "/v1/objects/bucket/key", "/v1/cluster"]
)
def test_a_signature_opens_no_native_door(world: World, how: str, path: str) -> None:
    """A request that is signed for S3, be it by the administrator and for this very path, is nobody's at ``/v1``."""
    for method in ("GET", "PUT", "DELETE"):
        reply = sent(world, SIGNATURES[how](world.admin, world.hosted(Request(method, path))))
        assert reply.status_code in {401, 405, 501}, reply.text
        if reply.status_code == 401:
            assert reply.json()["message"] in {"invalid token", "token required"}


def test_a_token_counts_in_one_place_only(world: World) -> None:
    """At ``/v1`` that is Authorization: a token in a query, a cookie, a body or any other header is not looked at."""
    token = token_of(world, "admin")
    for headers in (
        {"X-Amz-Security-Token": token},
        {"X-Auth-Token": token},
        {"Token": token},
        {"Cookie": f"token={token}"},
        {"Proxy-Authorization": f"Bearer {token}"},
        {"X-Forwarded-Authorization": f"Bearer {token}"},
    ):
        assert native(world, "GET", "/users", headers=headers).json()["message"] == "token required"
    for query in (
        f"token={token}",
        f"access_token={token}",
        f"X-Amz-Security-Token={token}",
        f"Authorization=Bearer {token}",
    ):
        assert native(world, "GET", f"/users?{query}").json()["message"] == "token required"
    assert native(world, "GET", "/users", json={"token": token}).json()["message"] == "token required"


def test_nor_is_any_other_place_looked_at_by_s3(world: World, bucket: str) -> None:
    """At S3 it is Authorization and the header of session tokens, or a presigned URL's own field."""
    token = token_of(world, "alice")
    get = world.hosted(Request("GET", f"/{bucket}/key"))
    for request in (
        get.with_headers(x_auth_token=token),
        get.with_headers(cookie=f"token={token}"),
        get.with_headers(proxy_authorization=f"Bearer {token}"),
        get.with_query(f"token={token}"),
        get.with_query(f"access_token={token}"),
        get.with_query(f"authorization=Bearer%20{token}"),
        get.with_query(f"x-amz-SECURITY-token={token}"),
    ):
        reply = world.send(request)
        assert (reply.status, reply.code) in {(403, "AccessDenied"), (501, "NotImplemented")}, request
    for name in ("X-Amz-Security-Token", "x-amz-security-token"):
        reply = world.send(get.with_query(f"{name}={token}"))
        assert (reply.status, reply.code) == (400, "AuthorizationQueryParametersError")
    assert world.send(bearer(get, token)).body == b"alice's"


@pytest.mark.parametrize(
    "name",
    [
        "X-Forwarded-User", "X-Remote-User", "Remote-User", "X-User", "X-User-Id", "X-Roles", "X-Is-Admin-Project",
        "X-Identity-Status", "X-Tidegate-User", "Tidegate-Access-Key", "Ais-Caller-Id", "Ais-Caller-Is-Primary",
        "X-Amz-User-Agent", "X-Amz-Principal", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-For", "Forwarded",
    ],
)  # fmt: skip
def test_cve_2026_22797_nobody_says_who_they_are(world: World, bucket: str, name: str) -> None:
    """No header but credentials says who is asking: those that proxies and other servers set do nothing."""
    for value in ("admin", "alice", world.alice.access, "127.0.0.1", "true", "/-/healthy"):
        header = name.lower().replace("-", "_")
        reply = world.send(Request("GET", f"/{bucket}/key").with_headers(**{header: value}))
        assert (reply.status, reply.code) == (403, "AccessDenied")
        assert native(world, "GET", "/users", headers={name: value}).status_code == 401
        mine = native(world, "GET", "/users", token_of(world, "bob"), headers={name: value})
        assert mine.status_code == 403


def test_two_mechanisms_are_one_too_many(world: World, bucket: str) -> None:
    """A token beside a signature in the URL, or beside another token, is refused: one could hide the other."""
    alice, bob = token_of(world, "alice"), token_of(world, "bob")
    get = world.hosted(Request("GET", f"/{bucket}/key"))
    for presign in (signing.v4_url, signing.v2_url):
        for keys in (world.alice, world.bob, Keys("unknown", "any")):
            reply = world.send(bearer(presign(keys, get), alice))
            assert (reply.status, reply.code) == (400, "InvalidArgument")
    for one, other in ((alice, bob), (bob, alice), (alice, "x"), (alice, "")):
        reply = world.send(bearer(get, one).with_headers(x_amz_security_token=other))
        assert (reply.status, reply.code) == (400, "InvalidArgument")
    for scheme in (f"Bearer {alice}, Bearer {bob}", f"Bearer {bob} {alice}", f"Bearer {bob},{alice}"):
        reply = world.send(get.with_headers(authorization=scheme))
        assert (reply.status, reply.code) == (400, "InvalidToken")
    twice = signing.v4_url(world.alice, get.with_query(f"X-Amz-Security-Token={alice}"))
    for more in (f"X-Amz-Security-Token={bob}", f"x-amz-security-token={bob}", f"X-Amz-Security-Token={alice}"):
        assert world.send(twice.with_query(more)).status in {400, 403}
    assert world.send(twice.with_headers(x_amz_security_token=bob)).status in {400, 403}
    for one, other in ((alice, bob), (bob, alice), (alice, alice)):
        both = get.with_query(f"X-Amz-Security-Token={one}&X-Amz-Security-Token={other}")
        reply = world.send(signing.v4_url(world.alice, both))
        assert (reply.status, reply.code) == (400, "InvalidArgument")


def test_two_authorizations_are_none(world: World) -> None:
    """A header that comes twice is not one that is checked and another that counts, at neither door."""
    alice, bob = token_of(world, "alice"), token_of(world, "bob")
    for path, status in (("/v1/buckets", 401), ("/", 400)):
        for one, other in ((alice, bob), (alice, alice), (alice, "x"), ("x", alice)):
            connection = http.client.HTTPConnection("127.0.0.1", world.server.port)
            connection.putrequest("GET", path)
            for token in (one, other):
                connection.putheader("Authorization", f"Bearer {token}")
            connection.endheaders()
            assert connection.getresponse().status in {status, 400}
            connection.close()


def test_a_captured_request_takes_no_token(world: World, bucket: str) -> None:
    """A token that is put onto somebody's signed request makes it nobody's: it was signed without."""
    bob = token_of(world, "bob")
    get = world.hosted(Request("GET", f"/{bucket}/key"))
    for how, sign in SIGNATURES.items():
        signed = sign(world.alice, get)
        assert world.send(signed).body == b"alice's"
        reply = world.send(signed.with_headers(x_amz_security_token=bob))
        assert reply.status in {400, 403}, how
        assert b"alice's" not in reply.body
        if "presigned" in how:
            for name in ("X-Amz-Security-Token", "x-amz-security-token"):
                reply = world.send(signed.with_query(f"{name}={bob}"))
                assert reply.status in {400, 403}, how
                assert b"alice's" not in reply.body


@pytest.mark.parametrize("how", SIGNATURES)
def test_a_key_and_a_token_are_of_one_user(world: World, bucket: str, how: str) -> None:
    """Whose signature is good and whose token is good is one and the same, or the request is refused."""
    for keys, user in ((world.alice, "bob"), (world.bob, "alice"), (world.alice, "admin"), (world.admin, "alice")):
        token = token_of(world, user)
        get = world.hosted(Request("GET", f"/{bucket}/key"))
        reply = world.send(SIGNATURES[how](keys, with_token(get, how, token)))
        assert (reply.status, reply.code) == (403, "AccessDenied"), (keys, user)


@pytest.mark.parametrize("how", SIGNATURES)
def test_a_key_that_is_known_has_to_sign(world: World, bucket: str, how: str) -> None:
    """A token does not make up for a wrong signature by a key that is known here."""
    token = token_of(world, "alice")
    get = with_token(world.hosted(Request("GET", f"/{bucket}/key")), how, token)
    for keys in (Keys(world.alice.access, "wrong"), Keys(world.bob.access, world.alice.secret)):
        reply = world.send(SIGNATURES[how](keys, get))
        assert (reply.status, reply.code) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("how", ["version 4 presigned", "version 2 presigned"])
def test_a_url_of_nobody_is_nobodys(world: World, bucket: str, how: str) -> None:
    """A token in a URL that was signed with a key of nobody here could be put into any other: it is refused."""
    token = token_of(world, "alice")
    name = "x-amz-security-token" if "version 2" in how else "X-Amz-Security-Token"
    get = world.hosted(Request("GET", f"/{bucket}/key"))
    for url in (
        SIGNATURES[how](Keys("unknown", "any"), get.with_query(f"{name}={token}")),
        SIGNATURES[how](Keys("unknown", "any"), get).with_headers(x_amz_security_token=token),
    ):
        reply = world.send(url)
        assert (reply.status, reply.code) == (403, "InvalidAccessKeyId")


def test_a_token_is_no_key(world: World) -> None:
    """A token signs nothing, as a key or as its secret."""
    token = token_of(world, "alice")
    get = world.hosted(Request("GET", "/"))
    for keys in (Keys(world.alice.access, token), Keys("alice", token), Keys(token[:100], token), Keys("alice", "x")):
        reply = world.send(signing.v4(keys, get))
        assert reply.status == 403
        assert reply.code in {"InvalidAccessKeyId", "SignatureDoesNotMatch"}


@pytest.mark.parametrize("form", ["expired", "skewed", "other day"])
def test_a_token_does_not_make_a_bad_signature_good(world: World, form: str) -> None:
    """What a signature itself says wrong is refused, though nobody here could check the rest of it."""
    from datetime import timedelta

    token = token_of(world, "alice")
    get = world.hosted(Request("GET", "/")).with_headers(x_amz_security_token=token)
    unknown = Keys("unknown", "any")
    if form == "other day":
        signed = signing.v4(unknown, get)
        value = signed.header("authorization")
        day = signing.stamp(signing.now())[:8]
        signed = signed.with_headers(authorization=value.replace(f"/{day}/", "/20200101/"))
        assert world.send(signed).code == "AuthorizationHeaderMalformed"
        return
    when = signing.now() + timedelta(days=-1 if form == "expired" else 1)
    assert world.send(signing.v4(unknown, get, when=when)).code == "RequestTimeTooSkewed"
