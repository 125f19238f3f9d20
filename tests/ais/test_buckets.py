"""Buckets through the native API: what the official SDK sees, and what only plain requests can ask for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import requests
import xxhash
from aistore.sdk import Bucket, Client, ListObjectFlag
from aistore.sdk.enums import FLTPresence
from aistore.sdk.errors import (
    AISError,
    ErrBckAlreadyExists,
    ErrBckNotFound,
    ErrObjNotFound,
    InvalidBckProvider,
)
from aistore.sdk.namespace import Namespace
from botocore.exceptions import ClientError

from tests.ais.conftest import MakeBucket, new_name
from tests.ais.helpers import act
from tidegate.testing import Server

Ask = Callable[..., requests.Response]

# What makes a bucket of another provider known without asking that.
UNSEEN = {"dont_head_remote_bck": "true"}


@pytest.fixture
def ask(server: Server) -> Ask:
    """Sends an action message. See ``act``."""
    return partial(act, server)


def message(answer: requests.Response) -> str:
    """What an error says."""
    return answer.json()["message"]


def props(bucket: Bucket) -> dict[str, Any]:
    """A bucket's properties, as the SDK reads them."""
    return json.loads(bucket.head()["Ais-Bucket-Props"])


def put(s3: Any, bucket: Bucket, **objects: bytes) -> None:
    """Stores objects."""
    for key, data in objects.items():
        s3.put_object(Bucket=bucket.name, Key=key, Body=data)


def refused(operation: Callable[[], object]) -> tuple[str, int]:
    """The code and the status that S3 refuses something with."""
    with pytest.raises(ClientError) as caught:
        operation()
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


# --- making and removing ---------------------------------------------------------------------------------------------


def test_a_bucket_is_made_once(client: Client) -> None:
    """A bucket is there once it is made; making it again is the SDK's ErrBckAlreadyExists, or nothing if told so."""
    bucket = client.bucket(new_name()).create()
    assert bucket.name in [each.name for each in client.cluster().list_buckets()]
    with pytest.raises(ErrBckAlreadyExists, match=f'bucket \\\\"ais://{bucket.name}\\\\" already exists'):
        bucket.create()
    bucket.create(exist_ok=True)


def test_destroying_a_bucket_takes_its_objects_along(client: Client, bucket: Bucket, s3: Any) -> None:
    """A bucket with objects is destroyed; one of the same name begins empty; a missing one is ErrBckNotFound."""
    put(s3, bucket, key=b"bytes")
    bucket.delete()
    with pytest.raises(ErrBckNotFound, match=f'bucket \\\\"ais://{bucket.name}\\\\" does not exist'):
        bucket.delete()
    bucket.delete(missing_ok=True)
    with pytest.raises(ErrBckNotFound):
        bucket.list_objects()
    bucket.create()
    assert bucket.list_all_objects() == []


def test_a_missing_object_is_told_from_a_missing_bucket(bucket: Bucket) -> None:
    """The SDK takes what is missing in a bucket that is there for a missing object."""
    with pytest.raises(ErrObjNotFound):
        bucket.object("missing").get_reader().read_all()


def test_a_head_says_in_a_header_what_is_wrong(server: Server, http: requests.Session) -> None:
    """The answer to a HEAD has no body: the error is in a header, whatever characters it has."""
    answer = http.head(f"{server.url}/v1/buckets/n%C3%A4me")
    assert answer.status_code == 404
    assert json.loads(answer.headers["Hdr-Error"])["message"] == 'bucket "ais://näme" does not exist'


def test_a_namespace_has_names_of_its_own(client: Client, server: Server, http: requests.Session) -> None:
    """Buckets of one name in two namespaces are two; errors about one in a namespace are about buckets, for the SDK."""
    name = new_name()
    spaces = Namespace(name="one"), Namespace(name="two")
    first, second = (client.bucket(name, namespace=space) for space in spaces)
    first.create()
    with pytest.raises(ErrBckAlreadyExists):
        first.create()
    with pytest.raises(ErrBckNotFound, match=f"ais://#two/{name}"):
        second.list_objects()
    second.create()
    found = http.get(f"{server.url}/v1/buckets", params={"namespace": "#two"}).json()
    assert {"name": name, "provider": "ais", "namespace": {"uuid": "", "name": "two"}} in found
    assert {each["namespace"]["name"] for each in found} == {"two"}
    assert props(first)["namespace"] == {"uuid": "", "name": "one"}


@pytest.mark.parametrize("name", ["Upper_Case.1", "xyz", "a" * 64])
def test_names_may_be_what_aistore_allows(client: Client, name: str) -> None:
    """AIStore is more liberal than Amazon with the names of buckets."""
    client.bucket(name).create()
    client.bucket(name).delete()


@pytest.mark.parametrize("name", ["xy", "a" * 65, "a..b", ".sys", "a b", "a%00b", "%C3%BCber", "a~b", "a%0A"])
def test_other_names_are_refused(ask: Ask, name: str) -> None:
    """A name that AIStore would not take is a clear error."""
    answer = ask("POST", name, "create-bck")
    assert (answer.status_code, answer.json()["tcode"]) == (400, "InvalidBucketName")
    assert message(answer).startswith("invalid bucket name")


def test_a_bucket_can_begin_with_properties(ask: Ask, client: Client) -> None:
    """What a client sends along with a new bucket is its properties; a wrong one makes no bucket."""
    name = new_name()
    assert ask("POST", name, "create-bck", {"checksum": {"type": "md5"}, "access": "ro"}).status_code == 200
    begun = props(client.bucket(name))
    assert (begun["checksum"]["type"], begun["access"]) == ("md5", "771")
    other = new_name()
    assert ask("POST", other, "create-bck", {"checksum": {"type": "md4"}}).status_code == 400
    assert ask("HEAD", other).status_code == 404


# --- properties ------------------------------------------------------------------------------------------------------


def test_all_properties_are_told(bucket: Bucket) -> None:
    """HEAD has the whole tree, defaults included, and what cannot be set."""
    told = props(bucket)
    assert (told["provider"], told["name"], told["present"]) == ("ais", bucket.name, True)
    assert told["checksum"] == {
        "type": "xxhash",
        "validate_cold_get": True,
        "validate_warm_get": False,
        "validate_obj_move": False,
        "enable_read_range": False,
    }
    assert told["mirror"] == {"copies": 2, "burst_buffer": 128, "enabled": False}
    assert (told["access"], told["features"]) == ("18446744073709551615", "0")
    assert 1.7e18 < int(told["created"]) < 4e18  # nanoseconds
    assert {"ec", "lru", "chunks", "rate_limit", "write_policy", "extra", "versioning", "backend_bck"} <= told.keys()


def test_properties_are_changed_and_reset(ask: Ask, bucket: Bucket) -> None:
    """A change names some of them, flat or as a tree, and leaves the others; a reset brings the defaults back."""
    before = props(bucket)
    changes = {"checksum": {"type": "md5"}, "versioning.enabled": False, "extra": {"custom": "ünicode"}}
    answer = ask("PATCH", bucket.name, "set-bprops", changes)
    assert (answer.status_code, answer.text) == (200, "")
    after = props(bucket)
    assert after["checksum"] == {**before["checksum"], "type": "md5"}
    assert (after["versioning"]["enabled"], after["extra"]["custom"]) == (False, "ünicode")
    assert ask("PATCH", bucket.name, "reset-bprops").status_code == 200
    assert props(bucket) == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"checksum": {"type": "md4"}}, "md4"),
        ({"no.such": 1}, 'unknown property "no.such"'),
        ({"created": "1"}, 'property "created" is readonly'),
        ({"provider": "aws"}, 'property "provider" is readonly'),
        ({"ec": {"enabled": True}}, "erasure coding is not implemented"),
        ({"backend_bck": "azure://no-such-bucket"}, "az://no-such-bucket"),
        ({"checksum": "md5"}, "checksum"),
        (["checksum"], "object"),
        (None, "object"),
        ("checksum.type=md5", "object"),
    ],
    ids=["value", "name", "created", "provider", "ec", "backend", "section", "list", "null", "text"],
)
def test_what_cannot_be_set_is_refused(ask: Ask, bucket: Bucket, change: object, said: str) -> None:
    """A property that is none, cannot be set or cannot have the value is a client's error, and changes nothing."""
    before = props(bucket)
    answer = ask("PATCH", bucket.name, "set-bprops", change)
    assert answer.status_code in {400, 403}
    assert said in message(answer)
    assert props(bucket) == before


@pytest.mark.parametrize("depth", [2, 20, 950, 1100, 100_000])
def test_what_is_nested_too_deeply_is_refused(
    server: Server, http: requests.Session, bucket: Bucket, depth: int
) -> None:
    """No depth of a message is too much for the server, wherever in the message it is."""
    for opening, closing in (('{"a":', "}"), ("[", "]")):
        deep = opening * depth + "1" + closing * depth
        body = f'{{"action":"set-bprops","value":{{"checksum":{deep}}}}}'
        assert http.patch(f"{server.url}/v1/buckets/{bucket.name}", data=body).status_code == 400
        assert http.patch(f"{server.url}/v1/buckets/{bucket.name}", data=deep).status_code == 400


def test_access_binds_everybody(ask: Ask, bucket: Bucket, s3: Any) -> None:
    """A bucket that is read-only refuses writes through both doors, says what it allows, and can be set right again."""
    put(s3, bucket, key=b"before")
    assert ask("PATCH", bucket.name, "set-bprops", {"access": "ro"}).status_code == 200
    with pytest.raises(AISError, match=f"bucket ais://{bucket.name}: PUT access denied") as caught:
        bucket.object("key").get_writer().put_content(b"after")
    assert caught.value.status_code == 403
    assert "(allowed: [GET,HEAD-OBJECT,HEAD-BUCKET,LIST-OBJECTS])" in caught.value.message
    assert "ErrBucketAccessDenied" in caught.value.message
    assert refused(lambda: put(s3, bucket, key=b"after")) == ("AccessDenied", 403)
    with pytest.raises(AISError, match="DESTROY-BUCKET access denied"):
        bucket.delete()
    assert bucket.object("key").get_reader().read_all() == b"before"
    assert ask("PATCH", bucket.name, "reset-bprops").status_code == 200
    put(s3, bucket, key=b"after")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("xxhash2", xxhash.xxh64_hexdigest(b"0123456789\n")),
        ("md5", hashlib.md5(b"0123456789\n").hexdigest()),
        ("crc32c", "0767345f"),
        ("sha256", hashlib.sha256(b"0123456789\n").hexdigest()),
        ("sha512", hashlib.sha512(b"0123456789\n").hexdigest()),
        ("none", ""),
    ],
)
def test_new_objects_have_the_checksum_of_their_bucket(
    ask: Ask, bucket: Bucket, s3: Any, kind: str, expected: str
) -> None:
    """The type acts on what is written from then on, through either door, and on nothing before."""
    data = b"0123456789\n"
    put(s3, bucket, before=data)
    assert ask("PATCH", bucket.name, "set-bprops", {"checksum.type": kind}).status_code == 200
    put(s3, bucket, after=data)
    bucket.object("native").get_writer().put_content(data)
    found = {entry.name: entry.checksum for entry in bucket.list_all_objects(props="name,checksum")}
    assert found == {"before": "05967d5390ac53b0", "after": expected, "native": expected}


def test_writes_are_counted_while_versioning_is_enabled(ask: Ask, bucket: Bucket, s3: Any) -> None:
    """An object's version is the number of its writes; it stops where the property is off."""

    def version() -> str:
        (entry,) = bucket.list_all_objects(props="name,version")
        return entry.version

    put(s3, bucket, key=b"1")
    put(s3, bucket, key=b"2")
    assert version() == "2"
    ask("PATCH", bucket.name, "set-bprops", {"versioning": {"enabled": False}})
    put(s3, bucket, key=b"3")
    assert version() == "2"
    ask("PATCH", bucket.name, "set-bprops", {"versioning": {"enabled": True}})
    put(s3, bucket, key=b"4")
    assert version() == "3"


def test_a_bucket_that_keeps_history_shows_its_version_ids(bucket: Bucket, s3: Any) -> None:
    """After S3's PutBucketVersioning an object's version is S3's id of it."""
    put(s3, bucket, key=b"1")
    s3.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    (before,) = bucket.list_all_objects(props="name,version")
    assert before.version == "1"
    written = s3.put_object(Bucket=bucket.name, Key="key", Body=b"2")
    (after,) = bucket.list_all_objects(props="name,version")
    assert after.version == written["VersionId"]


def test_a_history_counts_too(ask: Ask, bucket: Bucket, s3: Any) -> None:
    """S3's versioning sets the property that counts writes; suspending it leaves the property."""

    def is_enabled() -> bool:
        return bool(props(bucket)["versioning"]["enabled"])

    ask("PATCH", bucket.name, "set-bprops", {"versioning": {"enabled": False}})
    assert not is_enabled()
    for status in ("Enabled", "Suspended"):
        s3.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": status})
        assert is_enabled()
        assert s3.get_bucket_versioning(Bucket=bucket.name)["Status"] == status


# --- lists and summaries ---------------------------------------------------------------------------------------------


def test_buckets_are_listed_by_provider(client: Client, ask: Ask, make_bucket: MakeBucket) -> None:
    """A provider's buckets are its own; without one there are all; a path with a slash behind it is the same."""
    ours, theirs = make_bucket().name, new_name()
    assert ask("POST", theirs, "create-bck", provider="s3", **UNSEEN).status_code == 200

    def names(provider: str) -> set[str]:
        return {bucket.name for bucket in client.cluster().list_buckets(provider=provider)}

    assert ours in names("ais")
    assert theirs not in names("ais")
    assert theirs in names("aws")
    assert ours not in names("aws")
    assert {ours, theirs} <= names("")
    assert ask("GET", "", "list").json() == ask("GET", "", "list", provider="").json()
    assert ask("GET", "", "list", presence="5").json() == []
    assert {each["provider"] for each in ask("GET", "", "list", presence="2", provider="aws").json()} == {"aws"}
    assert ask("GET", "", "list", provider="cloud").status_code == 400
    assert ask("GET", "", "list", presence="9").status_code == 400
    assert ask("DELETE", theirs, "destroy-bck", provider="aws").status_code == 200


def test_a_summary_counts_what_is_there(bucket: Bucket, s3: Any) -> None:
    """The SDK's summary has numbers and sizes, of a whole bucket or under a prefix."""
    put(s3, bucket, **{"a/1": b"1", "a/2": b"22", "b/3": b"4444"})
    whole = bucket.summary()
    assert (whole["name"], whole["provider"], whole["is_present"]) == (bucket.name, "ais", True)
    assert whole["ObjCount"] == {"obj_count_present": "3", "obj_count_remote": "0"}
    assert whole["ObjSize"] == {"obj_min_size": 1, "obj_avg_size": 2, "obj_max_size": 4}
    assert whole["TotalSize"]["size_all_present_objs"] == "7"
    assert int(whole["TotalSize"]["total_disks_size"]) > 0
    under = bucket.summary(prefix="a/")
    assert under["ObjCount"]["obj_count_present"] == "2"
    assert under["TotalSize"]["size_all_present_objs"] == "3"


def test_info_is_properties_and_summary(bucket: Bucket, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's info asks by HEAD and waits for the summary, which has the prefix that it asked for first."""
    monkeypatch.setattr("aistore.sdk.bucket.time.sleep", lambda _: None)  # it begins with two seconds
    put(s3, bucket, **{"a/1": b"1", "a/ü": b"22", "b/3": b"4444"})
    told, summary = bucket.info()
    assert json.loads(told) == props(bucket)
    assert summary["ObjCount"]["obj_count_present"] == "3"
    _, under = bucket.info(prefix="a/", flt_presence=FLTPresence.FLT_PRESENT_NO_PROPS)
    assert under["ObjCount"]["obj_count_present"] == "2"


def test_an_empty_bucket_sums_up_to_nothing(bucket: Bucket) -> None:
    """Nothing is divided by the number of no objects."""
    summary = bucket.summary()
    assert summary["ObjSize"] == {"obj_min_size": 0, "obj_avg_size": 0, "obj_max_size": 0}
    assert summary["used_pct"] == 0


def test_all_buckets_are_summed_up_at_once(ask: Ask, bucket: Bucket, s3: Any) -> None:
    """Without a bucket in the path the summary is of all of ours."""
    put(s3, bucket, key=b"12345")
    begun = ask("GET", "", "summary-bck", {"uuid": "", "prefix": ""})
    assert begun.status_code == 202
    done = ask("GET", "", "summary-bck", {"uuid": begun.text, "prefix": ""})
    (mine,) = [each for each in done.json() if each["name"] == bucket.name]
    assert mine["TotalSize"]["size_all_present_objs"] == "5"


@pytest.mark.parametrize("job", ["no-such-job", "summary-%", "summary-_w", "summary-YQ"])
def test_a_summary_that_nobody_began_is_an_error(ask: Ask, bucket: Bucket, job: str) -> None:
    """An id that was not given out, or for something else, is refused."""
    answer = ask("GET", bucket.name, "summary-bck", {"uuid": job, "prefix": "b"})
    assert answer.status_code == 400
    assert f'job "{job}" does not exist' in message(answer)


def test_presence_filters_a_head(ask: Ask, bucket: Bucket) -> None:
    """What is in the cluster is present and not outside; some ask without wanting properties."""
    assert "Ais-Bucket-Props" in ask("HEAD", bucket.name, presence="2").headers
    assert "Ais-Bucket-Props" not in ask("HEAD", bucket.name, presence="3").headers
    assert ask("HEAD", bucket.name, presence="5").status_code == 404
    assert ask("HEAD", bucket.name, presence="x").status_code == 400


# --- what is not done ------------------------------------------------------------------------------------------------


def test_our_own_buckets_are_not_evicted(ask: Ask, bucket: Bucket, s3: Any) -> None:
    """What is nowhere else is not evicted: the SDK does not even ask, and who asks is told why."""
    put(s3, bucket, key=b"bytes")
    with pytest.raises(InvalidBckProvider):
        bucket.evict()
    answer = ask("DELETE", bucket.name, "evict-remote-bck")
    assert answer.status_code == 400
    assert "cannot be evicted" in message(answer)
    assert len(bucket.list_all_objects()) == 1


def test_a_bucket_of_another_provider_is_a_name_with_properties(client: Client, ask: Ask) -> None:
    """It can be made known without being looked up, has properties, and can be forgotten."""
    name = new_name()
    extra = {"extra": {"aws": {"profile": "p"}}}
    assert ask("POST", name, "create-bck", extra, provider="aws", **UNSEEN).status_code == 200
    bucket = client.bucket(name, provider="aws")
    assert props(bucket)["extra"]["aws"]["profile"] == "p"
    with pytest.raises(AISError, match="has no profile") as caught:
        bucket.list_objects()
    assert caught.value.status_code == 403
    bucket.evict(keep_md=True)
    assert props(bucket)["provider"] == "aws"
    assert ask("PATCH", name, "reset-bprops", provider="aws").status_code == 200
    assert props(bucket)["extra"]["aws"]["profile"] == "p"
    bucket.evict()
    assert name not in {each.name for each in client.cluster().list_buckets(provider="aws")}


@pytest.mark.parametrize(
    ("method", "action", "status"),
    [
        ("POST", "etl-bck", 501),
        ("POST", "ec-encode", 501),
        ("POST", "create-inventory", 501),
        ("GET", "show-inventory", 501),
        ("DELETE", "destroy-inventory", 501),
        ("POST", "destroy-bck", 400),
        ("DELETE", "create-bck", 400),
        ("DELETE", "", 400),
        ("PATCH", "no-such-action", 400),
    ],
)
def test_other_actions_are_refused_by_name(ask: Ask, bucket: Bucket, method: str, action: str, status: int) -> None:
    """What is not done is said, an action that is none is named, and a method alone does nothing."""
    answer = ask(method, bucket.name, action)
    assert answer.status_code == status
    assert (f'"{action}"' if status == 400 else "not implemented") in message(answer)
    assert props(bucket)["present"]


def test_inventories_are_refused_by_the_sdk_too(bucket: Bucket) -> None:
    """The SDK's inventories end in one clear error each."""
    with pytest.raises(AISError, match="Inventories of buckets are not implemented"):
        bucket.create_inventory()
    with pytest.raises(AISError, match="Inventories of buckets are not implemented"):
        bucket.list_objects(flags=[ListObjectFlag.NBI])


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"list"',
        b'{"action": 5}',
        b"\xff",
        b'{"action": "\xff"}',
        b'{"action":"list","value":{"prefix":"\\ud800"}}',
        b"[" * 5000,
    ],
    ids=["cut", "list", "text", "number", "bytes", "bytes in text", "surrogate", "deep"],
)
def test_a_message_that_is_none_is_a_clients_error(server: Server, http: requests.Session, body: bytes) -> None:
    """Whatever comes as a message, the server does not fail over it."""
    for path in ("", "/abc"):
        answer = http.get(f"{server.url}/v1/buckets{path}", data=body)
        assert answer.status_code in {400, 404}
        assert answer.headers["content-type"] == "application/json"


# --- the same buckets through S3 -------------------------------------------------------------------------------------


def test_s3_lists_who_keeps_a_bucket(server: Server, http: requests.Session, ask: Ask) -> None:
    """Each bucket in S3's list says its provider, and of a name that another has there is a warning (seed 002)."""
    ours, both = new_name(), new_name()
    for name, provider in ((ours, "ais"), (both, "ais"), (both, "aws"), (both, "gcp")):
        assert ask("POST", name, "create-bck", provider=provider, **UNSEEN).status_code == 200
    page = http.get(f"{server.url}/s3").text
    first = f"{{{both}, Provider: ais}}"
    second = f"Provider: aws (WARNING: {first} and {{{both}, Provider: aws}} share the same name)"
    third = f"Provider: gcp (WARNING: {{{both}, {second}}} and {{{both}, Provider: gcp}} share the same name)"
    for name, said in ((ours, "Provider: ais"), (both, "Provider: ais"), (both, second), (both, third)):
        entries = [entry for entry in page.split("<Bucket>") if f"<Name>{name}</Name>" in entry]
        assert any(f"<String>{said}</String>" in entry for entry in entries)
    for provider in ("ais", "aws", "gcp"):
        ask("DELETE", both, "destroy-bck", provider=provider)


def test_s3_refuses_a_name_of_two_buckets(ask: Ask, bucket: Bucket, s3: Any) -> None:
    """A name that means two buckets means none to S3, until one of them is gone; the native API tells them apart."""
    put(s3, bucket, key=b"bytes")
    assert ask("POST", bucket.name, "create-bck", provider="gcp", **UNSEEN).status_code == 200
    for operation in (
        lambda: s3.list_objects_v2(Bucket=bucket.name),
        lambda: s3.get_object(Bucket=bucket.name, Key="key"),
        lambda: put(s3, bucket, key=b"new"),
        lambda: s3.delete_bucket(Bucket=bucket.name),
    ):
        assert refused(operation) == ("AmbiguousBucketName", 404)
    assert refused(lambda: s3.create_bucket(Bucket=bucket.name)) == ("BucketAlreadyExists", 409)
    assert [entry.name for entry in bucket.list_all_objects()] == ["key"]
    assert ask("DELETE", bucket.name, "destroy-bck", provider="gcp").status_code == 200
    assert s3.get_object(Bucket=bucket.name, Key="key")["Body"].read() == b"bytes"


def test_s3_does_not_take_a_name_that_another_provider_has(ask: Ask, s3: Any) -> None:
    """Creating it is BucketAlreadyExists, and what is in such a bucket is for that provider to show, or deny."""
    name = new_name()
    assert ask("POST", name, "create-bck", provider="azure", **UNSEEN).status_code == 200
    assert refused(lambda: s3.create_bucket(Bucket=name)) == ("BucketAlreadyExists", 409)
    assert refused(lambda: s3.list_objects_v2(Bucket=name)) == ("AccessDenied", 403)
    assert ask("DELETE", name, "destroy-bck", provider="azure").status_code == 200
