"""Group 15: who may not look is told nothing, not even by how it is refused."""

from __future__ import annotations

import pytest

from tests.attacks.signing import Keys, Request
from tests.attacks.tokens import add_role, add_user, bearer, login, native, token_of
from tests.attacks.world import Reply, World
from tidegate.access import EVERYTHING, Access

LONG_AGO, FAR_AHEAD = "Thu, 01 Jan 1998 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"

# Conditions that tell one object from another, or from none; the ETag is filled in.
CONDITIONS: tuple[dict[str, str], ...] = (
    {},
    {"if_match": "{etag}"},
    {"if_match": '"other"'},
    {"if_match": "*"},
    {"if_none_match": "{etag}"},
    {"if_none_match": "*"},
    {"if_modified_since": LONG_AGO},
    {"if_modified_since": FAR_AHEAD},
    {"if_unmodified_since": LONG_AGO},
    {"if_unmodified_since": FAR_AHEAD},
    {"range": "bytes=0-0"},
    {"range": "bytes=100-200"},
    {"if_range": "{etag}", "range": "bytes=0-0"},
)
KEYS = ("key", "no-such-key", "ke", "key/")


@pytest.fixture
def victim(world: World) -> str:
    """A bucket of alice's with an object in it."""
    bucket = world.make_bucket(world.alice)
    world.put(world.alice, bucket, "key", b"secret")
    return bucket


def etag(world: World, bucket: str) -> str:
    """What a thief may have guessed."""
    return world.get(world.alice, bucket, "key").headers["etag"]


def told(reply: Reply) -> tuple[object, ...]:
    """What an answer tells, but for what is new in each or was in the question."""
    headers = {name: value for name, value in reply.headers.items() if name not in {"date", "x-amz-request-id"}}
    headers.pop("content-length", None)
    return reply.status, reply.code, reply.text("Message") if reply.body else "", sorted(headers.items())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("query", ["", "tagging", "attributes", "uploadId=x", "versionId=null", "partNumber=1"])
def test_cve_2024_36107_conditions_are_no_oracle(world: World, victim: str, method: str, query: str) -> None:
    """To who may not read, an object with a given ETag or date, another, and none at all are the same."""
    tag = etag(world, victim)
    name, lister = add_user(
        world, add_role(world, Access(EVERYTHING & ~int(Access.GET | Access.HEAD_OBJECT | Access.PUT)))
    )
    token = login(world, name)
    for keys in (None, world.bob, lister, token):
        answers = set()
        for condition in CONDITIONS:
            for key in KEYS:
                request = Request(method, f"/{victim}/{key}", query).with_headers(
                    x_amz_object_attributes="ETag", **{k: v.format(etag=tag) for k, v in condition.items()}
                )
                if isinstance(keys, str):
                    reply = world.send(bearer(world.hosted(request), keys))
                else:
                    reply = world.send(request, keys)
                answers.add(str(told(reply)))
        assert len(answers) == 1, answers
        assert answers.pop().startswith("(403" if method == "GET" else ("(403", "(501"))


def test_writing_tells_no_content(world: World, victim: str) -> None:
    """Who may write but not read learns by no condition whether what is there has an ETag, a size or a time."""
    tag = etag(world, victim)
    _, writer = add_user(world, add_role(world, Access(EVERYTHING & ~int(Access.GET | Access.HEAD_OBJECT))))
    before = world.bucket_state(victim)
    conditions: list[dict[str, str]] = [
        {"if_match": tag},
        {"if_match": '"other"'},
        {"if_none_match": tag},
        {"if_none_match": '"other"'},
        {"if_match": f'{tag}, "other"'},
    ]
    for condition in conditions:
        for key in ("key", "no-such-key"):
            put = Request("PUT", f"/{victim}/{key}", body=b"x").with_headers(**condition)
            reply = world.send(put, writer)
            assert reply.status in {403, 501}, (condition, reply)
    for condition in (
        {"if_match": tag},
        {"if_match": '"other"'},
        {"x_amz_if_match_size": "6"},
        {"x_amz_if_match_size": "7"},
    ):
        reply = world.send(Request("DELETE", f"/{victim}/key").with_headers(**condition), writer)
        assert (reply.status, reply.code) == (403, "AccessDenied"), condition
    body = f"<Delete><Object><Key>key</Key><ETag>{tag}</ETag></Object></Delete>".encode()
    reply = world.send(Request("POST", f"/{victim}", "delete", body=body), writer)
    assert reply.texts("Code") == ["AccessDenied"]
    upload = world.begin(writer, victim, "key")
    part = world.part(writer, victim, "key", upload, 1, b"x")
    document = (
        f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{part}</ETag></Part></CompleteMultipartUpload>"
    )
    complete = Request("POST", f"/{victim}/key", f"uploadId={upload}", body=document.encode())
    for guess in (tag, '"other"'):
        assert world.send(complete.with_headers(if_match=guess), writer).code == "AccessDenied"
    world.send(Request("DELETE", f"/{victim}/key", f"uploadId={upload}"), writer)
    assert world.bucket_state(victim) == before
    assert world.send(Request("PUT", f"/{victim}/key", body=b"x").with_headers(if_none_match="*"), writer).status == 412
    assert world.send(Request("PUT", f"/{victim}/key", body=b"x").with_headers(if_match=tag), world.alice).status == 200


def test_a_listing_is_no_oracle(world: World, victim: str) -> None:
    """To who may not list, whatever is asked for is refused in the same way, whether something is there or not."""
    _, reader = add_user(world, add_role(world, Access.GET | Access.HEAD_OBJECT | Access.HEAD_BUCKET))
    for keys in (None, world.bob, reader):
        answers = {
            str(told(world.send(Request("GET", f"/{victim}", query), keys)))
            for query in (
                "list-type=2",
                "list-type=2&prefix=key",
                "list-type=2&prefix=no-such",
                "list-type=2&max-keys=0",
                "list-type=2&max-keys=1&start-after=j",
                "prefix=k&delimiter=e",
                "marker=key",
                "versions&prefix=key",
                "uploads&prefix=key",
                "uploads&key-marker=key&upload-id-marker=x",
            )
        }
        assert len(answers) == 1
        assert answers.pop().startswith("(403, 'AccessDenied'")


def test_uploads_are_no_oracle(world: World, victim: str) -> None:
    """Whether an upload's id is one is told to nobody who could not have started it."""
    upload = world.begin(world.alice, victim, "key")
    document = (
        b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>"
    )
    for keys in (None, world.bob):
        for method, query, body in (
            ("GET", "uploadId={id}", b""),
            ("PUT", "partNumber=1&uploadId={id}", b"x"),
            ("POST", "uploadId={id}", document),
            ("DELETE", "uploadId={id}", b""),
        ):
            answers = {
                str(told(world.send(Request(method, f"/{victim}/key", query.format(id=id_), body=body), keys)))
                for id_ in (upload, "no-such-upload", "0" * 32)
            }
            assert len(answers) == 1
            assert answers.pop().startswith("(403, 'AccessDenied'")
    world.send(Request("DELETE", f"/{victim}/key", f"uploadId={upload}"), world.alice)


def test_the_owner_is_no_oracle(world: World, victim: str) -> None:
    """Whom a bucket belongs to is not to be found out by guessing it."""
    owner = world.send(Request("GET", f"/{victim}", "list-type=2&fetch-owner=true"), world.alice).text("ID")
    answers = {
        str(
            told(
                world.send(Request("GET", f"/{victim}/key").with_headers(x_amz_expected_bucket_owner=guess), world.bob)
            )
        )
        for guess in (owner, "0" * 64, "alice")
    }
    assert len(answers) == 1


def test_users_are_no_oracle(world: World) -> None:
    """Whether there is a user of a name is told neither by a login nor to another user."""
    bob = token_of(world, "bob")
    answers = {
        (reply.status_code, reply.json()["message"])
        for name in ("alice", "admin", "no-such-user")
        for reply in (native(world, "POST", f"/users/{name}", json={"password": "wrong"}),)
    }
    assert answers == {(401, "invalid credentials")}
    answers = {
        (reply.status_code, reply.json()["message"])
        for name in ("alice", "admin", "no-such-user")
        for method in ("GET", "PUT", "DELETE")
        for reply in (native(world, method, f"/users/{name}", bob, json={"id": name, "pass": "x"}),)
    }
    assert len(answers) == 1
    assert answers.pop()[0] == 403


def test_access_keys_tell_no_user(world: World, victim: str) -> None:
    """An unknown key is refused by Amazon's own code; a known one with a wrong secret tells nothing of its user."""
    get = Request("GET", f"/{victim}/key")
    assert world.send(get, Keys("no-such-key", "x")).code == "InvalidAccessKeyId"
    reply = world.send(get, Keys(world.alice.access, "x"))
    assert reply.code == "SignatureDoesNotMatch"
    assert b"alice" not in reply.body


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "POST"])
def test_the_native_door_is_no_oracle(world: World, victim: str, method: str) -> None:
    """At ``/v1`` too, who may do nothing in a bucket is told the same whatever is in it."""
    name, _ = add_user(world, add_role(world, Access.LIST_BUCKETS | Access.SHOW_CLUSTER))
    token = login(world, name)
    action = {"action": "check-lock", "name": "x", "value": {"a": "b"}}
    for query in ("", "?props=all", "?presence=2", "?archpath=x", "?latest-ver=true"):
        answers = {
            (reply.status_code, reply.text.replace(key, ""), reply.headers.get("hdr-error", "").replace(key, ""))
            for key in ("key", "no-such-key")
            for reply in (native(world, method, f"/objects/{victim}/{key}{query}", token, json=action),)
        }
        assert len(answers) == 1, answers
        assert answers.pop()[0] in {400, 403, 405, 501}


def test_a_listing_of_buckets_shows_what_may_be_listed(world: World, victim: str) -> None:
    """Buckets that a user may not list are in no listing, by either door."""
    name, keys = add_user(world, add_role(world, Access.LIST_BUCKETS | Access.GET, {"mine-alone": Access.LIST_OBJECTS}))
    mine = world.make_bucket(world.alice)
    _, both = add_user(world, add_role(world, Access.LIST_BUCKETS, {mine: Access.LIST_OBJECTS}))
    assert world.send(Request("GET", "/"), keys).texts("Name") == []
    assert native(world, "GET", "/buckets", login(world, name)).json() in ([], None)
    assert world.send(Request("GET", "/"), both).texts("Name") == [mine]
    assert victim not in world.send(Request("GET", "/"), world.bob).texts("Name")
