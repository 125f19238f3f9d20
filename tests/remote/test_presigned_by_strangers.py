"""Requests that are signed for the remote by somebody whom this server does not know, and who proves to the remote
alone who they are. The server itself has no credentials that are good for anything there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

import pytest
import requests
from botocore.exceptions import ClientError

from tests.attacks import signing
from tests.attacks.signing import Keys
from tests.attacks.world import add_user, administer
from tests.durability.folder import query
from tests.remote.conftest import Pair, new_name
from tests.remote.presigning import FEATURE, VERSIONS, Signer, keys_of
from tests.upstream import faults
from tests.upstream.faults import Proxy
from tidegate.testing import Server, ServerProcess, serve

MIB = 1024 * 1024
DATA = bytes(range(256)) * 40
PASSWORD = "a password of a test"
# All that a read may leave in the catalog.
TRACES = ("partials", "fills", "intents")


@pytest.fixture(scope="module")
def guarded(theirs: Server) -> Iterator[Pair]:
    """A server that checks credentials, with an administrator's session to its native API, and its remote."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
            ours = stack.enter_context(serve(auth=True, repos_port=None, access_log=True, log_level="debug"))
        administer(ours.data, lambda identity: identity.change_user("admin", password=PASSWORD))
        token = requests.post(f"{ours.url}/v1/users/admin", json={"password": PASSWORD}, timeout=10).json()["token"]
        found = Pair(ours, theirs, stack)
        found.http.headers["authorization"] = f"Bearer {token}"
        yield found


@pytest.fixture
def way(guarded: Pair) -> Iterator[Proxy]:
    """A proxy in front of the remote, which clients take for the remote."""
    with guarded.between() as proxy:
        yield proxy


@pytest.fixture
def bucket(guarded: Pair, way: Proxy) -> str:
    """A bucket that takes signed requests."""
    return guarded.create(new_name(), way.url, features=FEATURE)


@pytest.fixture
def signer(guarded: Pair, way: Proxy) -> Signer:
    """Somebody whom the remote knows and we do not."""
    return Signer(way.url, keys_of(guarded.theirs), guarded.ours)


@pytest.fixture
def http() -> Iterator[requests.Session]:
    """A client without any token."""
    with requests.Session() as session:
        yield session


def rows(pair: Pair, table: str) -> int:
    """How many there are in the catalog."""
    ((count,),) = query(pair.ours.data, f"SELECT count(*) FROM {table}")
    return int(count)


def cached(pair: Pair, key: str) -> bool:
    """Whether an object is kept here, as the catalog says: the server cannot list the remote."""
    return bool(query(pair.ours.data, f"SELECT 1 FROM head WHERE key = CAST('{key}' AS BLOB)"))


def wait_until_cached(pair: Pair, key: str) -> None:
    """Returns when an object that was read is kept here, which a reader does not wait for."""
    while not cached(pair, key):
        time.sleep(0.01)


# --- what the remote accepts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size", [13, 9 * MIB])
def test_strangers_write_and_read(
    guarded: Pair, bucket: str, signer: Signer, way: Proxy, http: requests.Session, size: int, version: str
) -> None:
    """With a signature that the remote accepts an object is written, kept and read; each read asks the remote first."""
    content, key = (DATA * (size // len(DATA) + 1))[:size], new_name()
    put = http.put(signer.url("put_object", bucket, key, version), data=content)
    assert put.status_code == 200, put.text
    assert guarded.there(bucket, key) == content
    assert cached(guarded, key)
    way.seen.clear()
    got = http.get(signer.url("get_object", bucket, key, version))
    assert (got.status_code, got.content) == (200, content)
    ranged = http.get(signer.url("get_object", bucket, key, version), headers={"range": "bytes=3-5"})
    assert (ranged.status_code, ranged.content) == (206, content[3:6])
    head = http.head(signer.url("head_object", bucket, key, version))
    assert (head.status_code, head.headers["content-length"]) == (200, str(size))
    assert [(seen.method, seen.headers["if-none-match"]) for seen in way.seen] == [
        (method, put.headers["etag"]) for method in ("GET", "GET", "HEAD")
    ]


@pytest.mark.parametrize("size", [13, 9 * MIB])
def test_a_cold_read_is_kept(
    guarded: Pair, bucket: str, signer: Signer, way: Proxy, http: requests.Session, size: int
) -> None:
    """One request for it reaches the remote, and what it brings is the next one's."""
    content, key = (DATA * (size // len(DATA) + 1))[:size], new_name()
    guarded.s3_there.put_object(Bucket=bucket, Key=key, Body=content)
    head = http.head(signer.url("head_object", bucket, key))
    assert (head.status_code, head.headers["content-length"]) == (200, str(size))
    way.seen.clear()
    assert http.get(signer.url("get_object", bucket, key)).content == content
    assert [seen.method for seen in way.seen] == ["GET"]
    wait_until_cached(guarded, key)
    way.seen.clear()
    assert http.get(signer.url("get_object", bucket, key)).content == content
    assert ["if-none-match" in seen.headers for seen in way.seen] == [True]


def test_a_cold_range_is_kept_by_chunks(
    guarded: Pair, bucket: str, signer: Signer, way: Proxy, http: requests.Session
) -> None:
    """Ranges of one object are put together, and the object is whole when all of its chunks are here."""
    content, key = DATA * 1000, new_name()
    guarded.s3_there.put_object(Bucket=bucket, Key=key, Body=content)
    url = signer.url("get_object", bucket, key)
    way.seen.clear()
    for start, stop in ((9 * MIB, 9 * MIB + 5), (5, 9), (0, len(content)), (8 * MIB - 1, 8 * MIB + 1)):
        got = http.get(url, headers={"range": f"bytes={start}-{stop - 1}"})
        assert (got.status_code, got.content) == (206, content[start:stop])
    assert {seen.target for seen in way.seen} == {way.seen[0].target}
    assert http.get(url, headers={"range": f"bytes={len(content)}-"}).status_code == 416
    assert http.get(signer.url("get_object", bucket, "none"), headers={"range": "bytes=1-2"}).status_code == 404


def test_many_readers_are_each_accepted(
    guarded: Pair, bucket: str, signer: Signer, way: Proxy, http: requests.Session
) -> None:
    """Readers of one cold object all get it, and who has a wrong signature among them gets nothing."""
    key = new_name()
    guarded.s3_there.put_object(Bucket=bucket, Key=key, Body=DATA)
    good = signer.url("get_object", bucket, key)
    bad = Signer(way.url, Keys(signer.keys.access, "wrong"), guarded.ours).url("get_object", bucket, key)
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(http.get, [good, bad] * 8))
    assert [(answer.status_code, answer.content == DATA) for answer in found] == [(200, True), (403, False)] * 8
    assert not any(answer.content == DATA for answer in found[1::2])


def test_headers_may_carry_the_signature(guarded: Pair, bucket: str, signer: Signer) -> None:
    """A client that only swaps the host reads and writes, and is told what it may not do."""
    key = new_name()
    with signer.swapping() as client:
        client.put_object(Bucket=bucket, Key=key, Body=DATA, Metadata={"a": "b"})
        got = client.get_object(Bucket=bucket, Key=key)
        assert (got["Body"].read(), got["Metadata"]) == (DATA, {"a": "b"})
        assert client.get_object(Bucket=bucket, Key=key, Range="bytes=1-2")["Body"].read() == DATA[1:3]
        assert client.head_object(Bucket=bucket, Key=key)["ContentLength"] == len(DATA)
        for act in (
            lambda: client.delete_object(Bucket=bucket, Key=key),
            lambda: client.get_object_tagging(Bucket=bucket, Key=key),
            lambda: client.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key}),
            lambda: client.create_multipart_upload(Bucket=bucket, Key=key),
            lambda: client.list_objects_v2(Bucket=bucket),
        ):
            with pytest.raises(ClientError) as caught:
                act()
            assert caught.value.response["Error"]["Code"] in {"AccessDenied", "InvalidAccessKeyId"}
    assert guarded.there(bucket, key) == DATA


def test_a_change_at_the_remote_is_seen(guarded: Pair, bucket: str, signer: Signer, http: requests.Session) -> None:
    """What is cached is served only if it is what the remote has at that moment."""
    key = new_name()
    url = signer.url("get_object", bucket, key)
    for content in (b"first", b"second", b"third one"):
        guarded.s3_there.put_object(Bucket=bucket, Key=key, Body=content)
        for _ in range(2):
            assert http.get(url).content == content
    guarded.s3_there.delete_object(Bucket=bucket, Key=key)
    assert http.get(url).status_code == 404


def test_a_doubt_is_resolved_by_the_next_reader(
    guarded: Pair, bucket: str, signer: Signer, way: Proxy, http: requests.Session
) -> None:
    """After a write of which nobody knows what became, a signature of the client's own finds out."""
    key = new_name()
    http.put(signer.url("put_object", bucket, key), data=b"old")
    way.plan = [faults.lose]
    assert http.put(signer.url("put_object", bucket, key), data=b"new").status_code == 503
    assert http.get(signer.url("get_object", bucket, key)).content == b"new"
    assert http.put(signer.url("put_object", bucket, key), data=b"newer").status_code == 200
    assert http.get(signer.url("get_object", bucket, key)).content == b"newer"


# --- what the remote does not accept ---------------------------------------------------------------------------------


@pytest.mark.parametrize("is_cached", [True, False])
def test_nothing_is_served_that_the_remote_refuses(
    guarded: Pair, bucket: str, signer: Signer, way: Proxy, http: requests.Session, *, is_cached: bool
) -> None:
    """A wrong signature gets 403 for an object, whether it is here or not, and leaves no trace."""
    key = new_name()
    guarded.s3_there.put_object(Bucket=bucket, Key=key, Body=DATA)
    if is_cached:
        assert http.get(signer.url("get_object", bucket, key)).content == DATA
        wait_until_cached(guarded, key)
    before = [rows(guarded, table) for table in TRACES]
    for keys in (Keys(signer.keys.access, "wrong"), Keys("unknown", "wrong")):
        bad = Signer(way.url, keys, guarded.ours)
        etag = guarded.s3_there.head_object(Bucket=bucket, Key=key)["ETag"]
        for version in VERSIONS:
            url = bad.url("get_object", bucket, key, version)
            for headers in ({}, {"if-none-match": etag}, {"if-match": '"0"'}, {"range": "bytes=0-1"}):
                answer = http.get(url, headers=headers)
                assert (answer.status_code, DATA[:2] in answer.content) == (403, False)
            assert http.head(bad.url("head_object", bucket, key, version)).status_code == 403
            with bad.swapping(version) as client:
                for more in ({}, {"Range": "bytes=0-1"}, {"IfNoneMatch": etag}):
                    with pytest.raises(ClientError) as caught:
                        client.get_object(Bucket=bucket, Key=key, **more)
                    assert caught.value.response["Error"]["Code"] == "AccessDenied"
    assert cached(guarded, key) == is_cached
    assert [rows(guarded, table) for table in TRACES] == before


def test_a_refused_write_is_not_done(guarded: Pair, signer: Signer, http: requests.Session) -> None:
    """The object, what is cached of it, and the catalog are as they were."""
    bucket, key = guarded.create(new_name(), features=FEATURE), new_name()
    good = Signer(guarded.endpoint, signer.keys, guarded.ours)
    bad = Signer(guarded.endpoint, Keys(signer.keys.access, "wrong"), guarded.ours)
    assert http.put(good.url("put_object", bucket, key), data=b"old").status_code == 200
    before = [rows(guarded, table) for table in TRACES]
    for content in (b"new", DATA * 1000):
        assert http.put(bad.url("put_object", bucket, key), data=content).status_code == 403
    assert http.get(good.url("get_object", bucket, key)).content == guarded.there(bucket, key) == b"old"
    assert [rows(guarded, table) for table in TRACES] == before


def test_the_buckets_own_access_counts(guarded: Pair, way: Proxy, signer: Signer, http: requests.Session) -> None:
    """What the bucket forbids to everybody, no signature allows."""
    bucket, key = guarded.create(new_name(), way.url, features=FEATURE, access="ro"), new_name()
    answer = http.put(signer.url("put_object", bucket, key), data=DATA)
    assert (answer.status_code, "access denied" in answer.text) == (403, True)
    assert way.seen == []


def test_without_the_feature_a_key_has_to_be_known(
    guarded: Pair, way: Proxy, signer: Signer, http: requests.Session
) -> None:
    """Nothing reaches the remote, of buckets without the feature, of ours, and of those that are not there."""
    names = guarded.create(new_name(), way.url), new_name(), new_name()
    guarded.s3.create_bucket(Bucket=names[1])
    for name in names:
        for answer in (
            http.put(signer.url("put_object", name, "key"), data=DATA),
            http.get(signer.url("get_object", name, "key")),
        ):
            assert (answer.status_code, "InvalidAccessKeyId" in answer.text) == (403, True)
    assert way.seen == []


def test_our_own_users_are_not_strangers(guarded: Pair, bucket: str, way: Proxy, http: requests.Session) -> None:
    """A key that we know is judged by us, and goes nowhere; so does who does not sign at all."""
    dora = Signer(way.url, add_user(guarded.ours.data, "dora"), guarded.ours)
    own = guarded.ours.boto3_client(aws_access_key_id=dora.keys.access, aws_secret_access_key=dora.keys.secret)
    with pytest.raises(ClientError) as caught:
        own.get_object(Bucket=bucket, Key="key")
    assert caught.value.response["Error"]["Code"] == "AccessDenied"
    own.close()
    foreign = http.get(dora.url("get_object", bucket, "key"))
    assert "SignatureDoesNotMatch" in foreign.text  # it was signed for another host than ours
    assert http.get(f"{guarded.ours.url}/{bucket}/key").status_code == 403
    assert way.seen == []


def test_sessions_of_the_remotes_pass(
    bucket: str, signer: Signer, way: Proxy, guarded: Pair, http: requests.Session
) -> None:
    """A session token that is not ours is the remote's, in the query and in the headers."""
    token = "FwoGZXIvYXdzEXAMPLETOKEN"
    in_query = signing.v4_url(
        signer.keys, signer.request("GET", bucket, "key").with_query(f"X-Amz-Security-Token={token}")
    )
    in_headers = signing.v4(signer.keys, signer.request("GET", bucket, "key").with_headers(x_amz_security_token=token))
    for request in (in_query, in_headers):
        way.seen.clear()
        assert signer.send(http, request).status_code == 403
        assert [token in f"{seen.target} {seen.headers}" for seen in way.seen] == [True]


def test_our_own_tokens_stay_here(
    guarded: Pair, bucket: str, signer: Signer, way: Proxy, http: requests.Session
) -> None:
    """A token of ours is never sent to anybody else: not a good one, nor one that was changed."""
    token = str(guarded.http.headers["authorization"]).removeprefix("Bearer ")
    for value in (token, token[:-4] + "AAAA"):
        in_headers = signing.v4(
            signer.keys, signer.request("GET", bucket, "key").with_headers(x_amz_security_token=value)
        )
        in_query = signing.v4_url(
            signer.keys, signer.request("GET", bucket, "key").with_query(f"X-Amz-Security-Token={value}")
        )
        for request in (in_headers, in_query):
            assert signer.send(http, request).status_code in {400, 403, 404}
    assert all(token[:60] not in f"{seen.target} {seen.headers}" for seen in way.seen)


def test_signatures_are_nowhere_to_be_read(
    guarded: Pair, bucket: str, signer: Signer, way: Proxy, http: requests.Session
) -> None:
    """Neither logs nor errors nor the store have them, though the remote repeats them in what it says."""
    key = new_name()
    url = signer.url("get_object", bucket, key)
    signature = url.partition("X-Amz-Signature=")[2].partition("&")[0]
    said = f"<Error><Code>SignatureDoesNotMatch{signature}</Code><Message>{signature}</Message></Error>".encode()
    for status in (400, 403, 404, 500):
        reply = faults.Reply(status, {"content-length": str(len(said))}, said)
        way.instead = partial(lambda reply, _: reply, reply)
        answer = http.get(url)
        assert answer.status_code >= 400
        assert signature not in answer.text + str(answer.headers)
    way.instead = lambda _: None
    assert http.put(signer.url("put_object", bucket, key), data=DATA).status_code == 200
    assert http.get(url).content == DATA
    assert isinstance(guarded.ours, ServerProcess)
    assert signature not in guarded.ours.log
    assert "X-Amz-Signature=REDACTED" in guarded.ours.log
    for path in guarded.ours.data.rglob("*"):
        assert not path.is_file() or signature.encode() not in path.read_bytes()
