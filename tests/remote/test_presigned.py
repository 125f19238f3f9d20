"""Requests that are signed for the remote, where nobody is authenticated: executed there as they are signed, and served
from here where that is the same.
"""

from __future__ import annotations

import zlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.attacks import signing
from tests.attacks.signing import Chunks, Keys
from tests.attacks.world import add_user
from tests.durability.folder import query
from tests.remote.conftest import Pair, new_name
from tests.remote.presigning import FEATURE, VERSIONS, Signer, keys_of
from tests.upstream import faults
from tests.upstream.faults import Proxy

MIB = 1024 * 1024
DATA = bytes(range(256)) * 40


@pytest.fixture
def way(pair: Pair) -> Iterator[Proxy]:
    """A proxy in front of the remote, which clients take for the remote."""
    with pair.between() as proxy:
        yield proxy


@pytest.fixture
def bucket(pair: Pair, way: Proxy) -> str:
    """A bucket that is reached by the proxy, and takes signed requests."""
    return pair.create(new_name(), way.url, features=FEATURE)


@pytest.fixture
def signer(pair: Pair, way: Proxy) -> Signer:
    """Somebody whom the remote knows and we do not."""
    return Signer(way.url, keys_of(pair.theirs), pair.ours)


def intents(pair: Pair) -> list[Any]:
    """The writes that have not come to an end."""
    return query(pair.ours.data, "SELECT key FROM intents")


# --- what is signed is done ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size", [0, 13, 9 * MIB])
def test_a_presigned_put_and_get(pair: Pair, bucket: str, signer: Signer, way: Proxy, size: int, version: str) -> None:
    """A PUT reaches the remote as it was signed and is kept here; a GET is then served without the remote."""
    content = (DATA * (size // len(DATA) + 1))[:size]
    put = pair.http.put(signer.url("put_object", bucket, "dir/a b é", version), data=content)
    assert put.status_code == 200, put.text
    assert pair.there(bucket, "dir/a b é") == content
    assert pair.is_cached(bucket, "dir/a b é")
    (sent,) = [seen for seen in way.seen if seen.method == "PUT"]
    assert sent.target.partition("?")[2] == str(put.request.url).partition("?")[2]
    assert (sent.headers["host"], sent.headers["content-length"]) == (signer.host, str(size))
    before = len(way.seen)
    got = pair.http.get(signer.url("get_object", bucket, "dir/a b é", version))
    assert (got.status_code, got.content) == (200, content)
    assert got.headers["etag"] == put.headers["etag"]
    head = pair.http.head(signer.url("head_object", bucket, "dir/a b é", version))
    assert (head.status_code, head.headers["content-length"]) == (200, str(size))
    assert len(way.seen) == before


@pytest.mark.parametrize("version", VERSIONS)
def test_a_cold_presigned_get_is_kept(pair: Pair, bucket: str, signer: Signer, way: Proxy, version: str) -> None:
    """The remote is asked by the client's own signature, and what it sends is stored with all that it says."""
    content = DATA * 1000  # more than one chunk
    pair.s3_there.put_object(Bucket=bucket, Key="cold", Body=content, Metadata={"a": "b"}, ContentType="text/plain")
    url = signer.url("get_object", bucket, "cold", version)
    way.seen.clear()
    got = pair.http.get(url)
    assert (got.status_code, got.content) == (200, content)
    assert (got.headers["x-amz-meta-a"], got.headers["content-type"]) == ("b", "text/plain")
    assert [seen.target.partition("?")[2] for seen in way.seen] == [url.partition("?")[2]]
    assert all("authorization" not in seen.headers for seen in way.seen)
    pair.wait_until_cached(bucket, "cold")
    way.refuses = True
    assert pair.http.get(url).content == content
    assert pair.http.get(f"{pair.ours.url}/{bucket}/cold").content == content


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_that_only_swaps_the_host(pair: Pair, bucket: str, signer: Signer, version: str) -> None:
    """Signatures in headers are passed on too, with all that they cover."""
    with signer.swapping(version) as client:
        put = client.put_object(
            Bucket=bucket, Key="key", Body=DATA, Metadata={"Colour": "blue"}, ContentType="text/plain"
        )
        there = pair.s3_there.head_object(Bucket=bucket, Key="key")
        assert (there["Metadata"], there["ContentType"]) == ({"colour": "blue"}, "text/plain")
        assert put["ETag"] == there["ETag"]
        assert pair.is_cached(bucket, "key")
        got = client.get_object(Bucket=bucket, Key="key")
        assert (got["Body"].read(), got["Metadata"]) == (DATA, {"colour": "blue"})
        pair.s3_there.put_object(Bucket=bucket, Key="cold", Body=DATA)
        assert client.head_object(Bucket=bucket, Key="cold")["ContentLength"] == len(DATA)
        assert client.get_object(Bucket=bucket, Key="cold")["Body"].read() == DATA
        with pytest.raises(ClientError, match="404"):
            client.head_object(Bucket=bucket, Key="none")
        with pytest.raises(client.exceptions.NoSuchKey):
            client.get_object(Bucket=bucket, Key="none")


def test_the_remotes_own_host_is_understood(pair: Pair, bucket: str, signer: Signer, way: Proxy) -> None:
    """A client that changes no more than the address keeps the remote's Host; AIStore's header names the style."""
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=DATA)
    request = signing.v4_url(signer.keys, signer.request("GET", bucket, "key"))
    hosted = signer.send(pair.http, request, lambda headers: headers.update(host=signer.host))
    assert (hosted.status_code, hosted.content) == (200, DATA)
    by_path = signer.send(pair.http, request, lambda headers: headers.update({"ais-s3-signed-request-style": "path"}))
    assert by_path.status_code == 200
    odd = signer.send(pair.http, request, lambda headers: headers.update({"ais-s3-signed-request-style": "x"}))
    assert (odd.status_code, "path or virtual" in odd.text) == (400, True)
    request = signing.v4_url(signer.keys, signer.request("GET", bucket, "other"))
    amazon = signer.send(
        pair.http, request, lambda headers: headers.update(host=f"{bucket}.s3.us-west-2.amazonaws.com")
    )
    assert (amazon.status_code, "another host" in amazon.text) == (403, True)
    virtual = signer.send(
        pair.http, request, lambda headers: headers.update({"ais-s3-signed-request-style": "virtual"})
    )
    assert (virtual.status_code, "endpoint" in virtual.text) == (403, True)
    assert {seen.headers["host"] for seen in way.seen} == {signer.host}


@pytest.mark.parametrize("payload", [signing.UNSIGNED_TRAILER, signing.STREAMING])
def test_a_framed_body_is_passed_on_as_it_came(pair: Pair, bucket: str, signer: Signer, payload: str) -> None:
    """Chunks keep their signatures and trailers on the way to the remote; the object here has none of it."""
    content = DATA * 20
    request = signer.request("PUT", bucket, "framed").with_headers(
        x_amz_decoded_content_length=str(len(content)), content_encoding="aws-chunked"
    )
    if payload == signing.UNSIGNED_TRAILER:
        crc = "x-amz-checksum-crc32", b64encode(zlib.crc32(content).to_bytes(4)).decode()
        request = request.with_headers(x_amz_trailer=crc[0])
        signed = signing.v4(signer.keys, request, payload=payload)
        body = signing.chunked(content[:70_000], content[70_000:], trailers=(crc,))
    else:
        signed = signing.v4(signer.keys, request, payload=payload)
        chunks = Chunks(signer.keys, signed)
        body = chunks.chunk(content[:70_000]) + chunks.chunk(content[70_000:]) + chunks.chunk(b"") + b"\r\n"
    answer = signer.send(pair.http, signing.Request(signed.method, signed.path, "", signed.headers, body))
    assert answer.status_code == 200, answer.text
    assert pair.there(bucket, "framed") == content
    assert pair.is_cached(bucket, "framed")
    assert pair.http.get(signer.url("get_object", bucket, "framed")).content == content
    assert "ContentEncoding" not in pair.s3_there.head_object(Bucket=bucket, Key="framed")


def test_many_presigned_cold_gets_are_one_read(pair: Pair, bucket: str, signer: Signer, way: Proxy) -> None:
    """As with our own credentials, readers of one object wait for the first."""
    pair.s3_there.put_object(Bucket=bucket, Key="cold", Body=DATA)
    url = signer.url("get_object", bucket, "cold")
    way.seen.clear()
    way.always = faults.slow(0.3)
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda _: pair.http.get(url).content, range(12)))
    assert found == [DATA] * 12
    assert len(way.seen) == 1


# --- parts of objects ------------------------------------------------------------------------------------------------


def test_a_range_brings_the_chunks_that_it_needs(pair: Pair, bucket: str, signer: Signer, way: Proxy) -> None:
    """A range that is not signed is ours to ask for: whole chunks come, and stay."""
    content = DATA * 2500
    pair.s3_there.put_object(Bucket=bucket, Key="large", Body=content)
    url = signer.url("get_object", bucket, "large")
    way.seen.clear()
    for _ in range(2):
        got = pair.http.get(url, headers={"range": f"bytes={9 * MIB}-{9 * MIB + 99}"})
        assert (got.status_code, got.content) == (206, content[9 * MIB : 9 * MIB + 100])
        assert got.headers["content-range"] == f"bytes {9 * MIB}-{9 * MIB + 99}/{len(content)}"
    assert [seen.headers.get("range") for seen in way.seen] == [f"bytes={8 * MIB}-{16 * MIB - 1}"]
    beyond = pair.http.get(url, headers={"range": f"bytes={len(content)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(content)}")
    cold = pair.http.get(signer.url("get_object", bucket, "none"), headers={"range": "bytes=5-6"})
    assert cold.status_code == 404


def test_a_signed_range_passes_through(pair: Pair, bucket: str, signer: Signer, way: Proxy) -> None:
    """What is signed cannot be asked otherwise: the bytes come as they are, and are not kept."""
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=DATA)
    with signer.swapping() as client:
        for wanted, expected in (("bytes=5-9", DATA[5:10]), ("bytes=-7", DATA[-7:]), ("bytes=3-", DATA[3:])):
            got = client.get_object(Bucket=bucket, Key="key", Range=wanted)
            assert (got["ResponseMetadata"]["HTTPStatusCode"], got["Body"].read()) == (206, expected)
            assert way.seen[-1].headers["range"] == wanted
        with pytest.raises(ClientError) as caught:
            client.get_object(Bucket=bucket, Key="key", Range=f"bytes={len(DATA)}-")
        assert caught.value.response["Error"]["Code"] == "InvalidRange"
        assert not pair.is_cached(bucket, "key")
        client.get_object(Bucket=bucket, Key="key")["Body"].read()
        pair.wait_until_cached(bucket, "key")
        way.refuses = True
        assert client.get_object(Bucket=bucket, Key="key", Range="bytes=5-9")["Body"].read() == DATA[5:10]


def test_signed_conditions_are_the_remotes(pair: Pair, bucket: str, signer: Signer) -> None:
    """The remote evaluates them, and its answer is ours."""
    etag = pair.s3_there.put_object(Bucket=bucket, Key="key", Body=DATA)["ETag"]
    with signer.swapping() as client:
        for conditions, code in (
            ({"IfNoneMatch": etag}, "304"),
            ({"IfMatch": '"0"'}, "PreconditionFailed"),
        ):
            with pytest.raises(ClientError) as caught:
                client.get_object(Bucket=bucket, Key="key", **conditions)
            assert caught.value.response["Error"]["Code"] == code
        assert client.get_object(Bucket=bucket, Key="key", IfMatch=etag)["Body"].read() == DATA
        assert client.put_object(Bucket=bucket, Key="new", Body=b"1", IfNoneMatch="*")
        with pytest.raises(ClientError, match="PreconditionFailed"):
            client.put_object(Bucket=bucket, Key="new", Body=b"2", IfNoneMatch="*")
    assert pair.there(bucket, "new") == b"1"
    assert pair.http.get(signer.url("get_object", bucket, "new")).content == b"1"
    assert intents(pair) == []


def test_unsigned_conditions_are_ours(pair: Pair, bucket: str, signer: Signer) -> None:
    """Cold and cached, a condition holds against what the remote says of the object."""
    etag = pair.s3_there.put_object(Bucket=bucket, Key="key", Body=DATA)["ETag"]
    url = signer.url("get_object", bucket, "key")
    for _ in range(2):
        assert pair.http.get(url, headers={"if-none-match": etag}).status_code == 304
        assert pair.http.get(url, headers={"if-match": '"0"'}).status_code == 412
        assert pair.http.get(url, headers={"if-match": etag}).content == DATA


def test_overrides_are_not_kept(pair: Pair, bucket: str, signer: Signer) -> None:
    """What a signer has put over the object's headers is answered, cold and cached, and is not the object's."""
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=DATA, ContentType="text/plain")
    url = signer.url("get_object", bucket, "key", ResponseContentType="image/png")
    for _ in range(2):
        got = pair.http.get(url)
        assert (got.content, got.headers["content-type"]) == (DATA, "image/png")
        plain = pair.http.get(signer.url("get_object", bucket, "key"))
        assert (plain.content, plain.headers["content-type"]) == (DATA, "text/plain")


def test_metadata_in_the_query_is_the_remotes_matter(pair: Pair, bucket: str, signer: Signer) -> None:
    """An object that a remote may describe in another way than the request says is written, and not kept."""
    url = signer.url("put_object", bucket, "key", "s3", Metadata={"a": "b"}, ContentType="text/plain")
    assert "x-amz-meta-a" in url
    answer = pair.http.put(url, data=DATA)
    assert answer.status_code == 200, answer.text
    assert pair.there(bucket, "key") == DATA
    assert not pair.is_cached(bucket, "key")
    assert intents(pair) == []


# --- what is not for the remote --------------------------------------------------------------------------------------


def test_without_the_feature_signatures_mean_nothing(pair: Pair, signer: Signer, way: Proxy) -> None:
    """The request is done with the server's own credentials, as any other where nobody is authenticated."""
    bucket = pair.create(new_name(), way.url)
    stranger = Signer(way.url, Keys("stranger", "secret"), pair.ours)
    assert pair.http.put(stranger.url("put_object", bucket, "key"), data=DATA).status_code == 200
    assert pair.there(bucket, "key") == DATA
    assert all("stranger" not in seen.target for seen in way.seen)


def test_the_clusters_feature_is_every_buckets(pair: Pair, way: Proxy) -> None:
    """Set for the cluster, it counts for buckets that were there before, and none of ours is touched by it."""
    bucket = pair.create(new_name(), way.url)
    stranger = Signer(way.url, Keys("stranger", "secret"), pair.ours)
    config = f"{pair.ours.url}/v1/cluster/set-config"
    try:
        assert pair.http.put(config, params={"features": FEATURE}).status_code == 200
        refused = pair.http.put(stranger.url("put_object", bucket, "key"), data=DATA)
        assert (refused.status_code, "InvalidAccessKeyId" in refused.text) == (403, True)
        ours = new_name()
        pair.s3.create_bucket(Bucket=ours)
        assert pair.http.put(stranger.url("put_object", ours, "key"), data=DATA).status_code == 200
    finally:
        assert pair.http.put(config, params={"features": "none"}).status_code == 200
    assert pair.there(bucket, "key") is None


def test_a_key_of_ours_is_not_passed_on(pair: Pair, bucket: str, way: Proxy) -> None:
    """Who signs with a key that we know means us, and so does who asks for more than one object."""
    keys = add_user(pair.ours.data, "carol")
    signer = Signer(way.url, keys, pair.ours)
    assert pair.http.put(signer.url("put_object", bucket, "key"), data=DATA).status_code == 200
    assert pair.there(bucket, "key") == DATA
    stranger = Signer(way.url, Keys("stranger", "secret"), pair.ours)
    assert "<Key>key</Key>" in pair.http.get(stranger.url("list_objects_v2", bucket, "")).text
    assert pair.http.delete(stranger.url("delete_object", bucket, "key")).status_code == 204
    assert all(keys.access not in seen.target and "stranger" not in seen.target for seen in way.seen)


@pytest.mark.parametrize("name", ["versionId", "partNumber"])
def test_versions_and_parts_are_not_passed_on(pair: Pair, bucket: str, signer: Signer, name: str) -> None:
    """They would be taken for the object itself."""
    choices: Mapping[str, Mapping[str, Any]] = {"versionId": {"VersionId": "null"}, "partNumber": {"PartNumber": 1}}
    more = choices[name]
    answer = pair.http.get(signer.url("get_object", bucket, "key", **more))
    assert (answer.status_code, "not passed on" in answer.text) == (501, True)


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_a_refused_put_changes_nothing(pair: Pair) -> None:
    """A signature that the remote does not take leaves the object, its cached copy, and no doubt about it."""
    bucket = pair.create(new_name(), features=FEATURE)
    signer = Signer(pair.endpoint, keys_of(pair.theirs), pair.ours)
    bad = Signer(pair.endpoint, Keys(signer.keys.access, "wrong"), pair.ours)
    pair.http.put(signer.url("put_object", bucket, "key"), data=b"old")
    before = {path for path in (pair.ours.data / "blobs").rglob("*") if path.is_file()}
    for content in (b"new", DATA * 30, DATA * 1000):
        answer = pair.http.put(bad.url("put_object", bucket, "key"), data=content)
        assert (answer.status_code, "SignatureDoesNotMatch" in answer.text) == (403, True)
    assert pair.there(bucket, "key") == b"old"
    assert pair.is_cached(bucket, "key")
    assert intents(pair) == []
    assert {path for path in (pair.ours.data / "blobs").rglob("*") if path.is_file()} <= before
    assert pair.http.get(signer.url("get_object", bucket, "key")).content == b"old"


def test_a_put_whose_answer_is_lost_leaves_a_doubt(pair: Pair, bucket: str, signer: Signer, way: Proxy) -> None:
    """Nobody can say what became of it, so the remote is asked before anything old is served."""
    pair.http.put(signer.url("put_object", bucket, "key"), data=b"old")
    way.plan = [faults.lose]
    answer = pair.http.put(signer.url("put_object", bucket, "key"), data=b"new")
    assert answer.status_code == 503
    assert pair.there(bucket, "key") == b"new"
    assert pair.http.get(signer.url("get_object", bucket, "key")).content == b"new"
    assert pair.http.get(f"{pair.ours.url}/{bucket}/key").content == b"new"
    pair.http.put(signer.url("put_object", bucket, "key"), data=b"newer")
    assert pair.http.get(signer.url("get_object", bucket, "key")).content == b"newer"


def test_damage_is_not_kept(pair: Pair, bucket: str, signer: Signer, way: Proxy) -> None:
    """What does not have the checksum that the remote told breaks off, and the next read asks again."""
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=DATA)
    url = signer.url("get_object", bucket, "key")
    way.plan = [faults.damage(77)]
    with pytest.raises(Exception, match=r"IncompleteRead|Connection|502"):
        pair.http.get(url).raise_for_status()
    assert not pair.is_cached(bucket, "key")
    assert pair.http.get(url).content == DATA


def test_what_has_changed_is_noticed(pair: Pair, signer: Signer, way: Proxy) -> None:
    """Where the bucket validates warm reads, that is done with the client's own signature."""
    bucket = pair.create(new_name(), way.url, features=FEATURE, versioning={"validate_warm_get": True})
    pair.http.put(signer.url("put_object", bucket, "key"), data=b"old")
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=b"newer")
    way.seen.clear()
    assert pair.http.get(signer.url("get_object", bucket, "key")).content == b"newer"
    assert all("X-Amz-Signature" in seen.target for seen in way.seen)
    assert "if-none-match" in way.seen[0].headers


def test_an_expired_url_is_refused(pair: Pair, bucket: str, signer: Signer, way: Proxy) -> None:
    """Whether or not the object is here."""
    pair.http.put(signer.url("put_object", bucket, "key"), data=DATA)
    old = signing.now() - timedelta(hours=1)
    request = signing.v4_url(signer.keys, signer.request("GET", bucket, "key"), when=old)
    answer = signer.send(pair.http, request)
    assert (answer.status_code, "expired" in answer.text) == (403, True)
