"""Writes of a remote bucket: the remote has what was acknowledged, and what is kept here is what the remote has."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
import xxhash
from botocore.exceptions import ClientError

from tests.durability.folder import check, query
from tests.remote.conftest import ONCE, Pair, credentials, new_name
from tests.upstream import faults
from tests.upstream.faults import Reply, Seen
from tidegate.catalog import intents
from tidegate.gateway import open_gateway
from tidegate.gateway.objects import NewObject
from tidegate.model import EVERYONE
from tidegate.names import BucketName
from tidegate.s3 import waiting
from tidegate.testing import Server, serve, serve_in_thread

MIB = 1024 * 1024
PART = 5 * MIB
DENIED = b"<Error><Code>AccessDenied</Code><Message>key AKIDSECRETSECRETSECRET0 may not</Message></Error>"
# AIStore keeps an object's checksum in the remote's metadata under names that look like headers.
DIGEST_TYPE, DIGEST = "x-amz-meta-ais-cksum-type", "x-amz-meta-ais-cksum-val"


def refusal(method: str) -> Callable[[Seen], Reply | None]:
    """The remote denies what comes by this method, and does not do it."""
    return lambda seen: Reply(403, {"content-length": str(len(DENIED))}, DENIED) if seen.method == method else None


def code_of(act: Callable[[], object]) -> str:
    """The code of the error that a call ends with."""
    with pytest.raises(ClientError) as caught:
        act()
    return str(caught.value.response["Error"]["Code"])


def body_of(answer: Any) -> bytes:
    """All of an object."""
    with answer["Body"] as body:
        return bytes(body.read())


def upload(client: Any, bucket: str, key: str, content: bytes, **options: Any) -> tuple[str, list[dict[str, Any]]]:
    """A multipart upload with all of its parts, not completed."""
    upload_id = client.create_multipart_upload(Bucket=bucket, Key=key, **options)["UploadId"]
    parts = []
    for number, start in enumerate(range(0, len(content), PART), 1):
        piece = content[start : start + PART]
        answer = client.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=piece)
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    return upload_id, parts


# --- what arrives ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 5, 100_000, 9 * MIB])
def test_a_put_arrives_and_is_cached(pair: Pair, bucket: str, size: int) -> None:
    """What is put is at the remote, with headers, metadata and AIStore's checksum, and the ETags agree."""
    content = bytes(range(251)) * (size // 251 + 1)
    content = content[:size]
    put = pair.s3.put_object(
        Bucket=bucket, Key="dir/key é", Body=content, Metadata={"Colour": "blue"}, ContentType="text/plain"
    )
    there = pair.s3_there.head_object(Bucket=bucket, Key="dir/key é")
    assert pair.there(bucket, "dir/key é") == content
    assert there["ContentType"] == "text/plain"
    digest = xxhash.xxh64_hexdigest(content)
    assert there["Metadata"] == {"colour": "blue", DIGEST_TYPE: "xxhash", DIGEST: digest}
    here = pair.s3.head_object(Bucket=bucket, Key="dir/key é")
    assert put["ETag"] == here["ETag"] == there["ETag"]
    assert here["Metadata"] == {"colour": "blue"}
    assert body_of(pair.s3.get_object(Bucket=bucket, Key="dir/key é")) == content
    assert pair.is_cached(bucket, "dir/key é")


def test_a_multipart_upload_arrives_when_it_is_completed(pair: Pair, bucket: str) -> None:
    """Parts wait here; Complete streams them to the remote, and the same request again gets the same answer."""
    content = bytes(range(256)) * 4096 * 11
    upload_id, parts = upload(pair.s3, bucket, "big", content, Metadata={"a": "b"})
    assert pair.there(bucket, "big") is None
    wanted = {"Bucket": bucket, "Key": "big", "UploadId": upload_id, "MultipartUpload": {"Parts": parts}}
    etag = pair.s3.complete_multipart_upload(**wanted)["ETag"]
    there = pair.s3_there.head_object(Bucket=bucket, Key="big")
    assert pair.there(bucket, "big") == content
    assert there["ETag"] == etag == pair.s3.head_object(Bucket=bucket, Key="big")["ETag"]
    assert there["Metadata"] == {"a": "b", DIGEST_TYPE: "xxhash", DIGEST: xxhash.xxh64_hexdigest(content)}
    assert pair.is_cached(bucket, "big")
    pair.s3_there.put_object(Bucket=bucket, Key="big", Body=b"other")
    assert pair.s3.complete_multipart_upload(**wanted)["ETag"] == etag
    assert pair.there(bucket, "big") == b"other"


def test_native_writes_arrive_too(pair: Pair, bucket: str) -> None:
    """AIStore's own client writes and deletes through, and a missing object is an error to it."""
    objects = pair.sdk.bucket(bucket, provider="aws")
    objects.object("key").get_writer().put_content(b"content")
    assert pair.there(bucket, "key") == b"content"
    upload_id, parts = upload(pair.s3, bucket, "parts", b"x" * 100)
    message: Any = {"action": "mpt-complete", "value": [{"part-number": parts[0]["PartNumber"]}]}
    url = f"{pair.ours.url}/v1/objects/{bucket}/parts?provider=aws&uploadId={upload_id}"
    assert pair.http.post(url, json=message).status_code == 200
    assert pair.there(bucket, "parts") == b"x" * 100
    objects.object("key").delete()
    assert pair.there(bucket, "key") is None
    answer = pair.http.delete(f"{pair.ours.url}/v1/objects/{bucket}/key?provider=aws")
    assert answer.status_code == 404
    assert f"aws://{bucket}/key does not exist" in answer.text


def test_one_object_is_evicted(pair: Pair, bucket: str) -> None:
    """What is cached of it goes, which clients that ask only for what is here are told; the remote keeps it."""
    pair.s3.put_object(Bucket=bucket, Key="key", Body=b"content")
    url, there = f"{pair.ours.url}/v1/objects/{bucket}/key", {"provider": "aws"}
    assert pair.http.head(url, params={**there, "presence": "2"}).status_code == 200
    assert pair.http.delete(url, params=there, json={"action": "evict-listrange"}).status_code == 200
    assert pair.http.head(url, params={**there, "presence": "2"}).status_code == 404
    assert pair.http.head(url, params=there).headers["ais-present"] == "false"
    assert not pair.is_cached(bucket, "key")
    assert pair.there(bucket, "key") == b"content"


def test_custom_metadata_tells_of_the_remote(pair: Pair, bucket: str) -> None:
    """As AIStore does, HEAD shows the remote's ETag and whose it is among the custom metadata."""
    etag = pair.s3.put_object(Bucket=bucket, Key="key", Body=b"content", Metadata={"mine": "1"})["ETag"]
    answer = pair.http.head(f"{pair.ours.url}/v1/objects/{bucket}/key?provider=aws&props=all")
    assert answer.headers["ais-custom-md"] == f"ETag={etag}, mine=1, source=aws"
    assert answer.headers["ais-present"] == "true"


def test_deletes_arrive(pair: Pair, bucket: str) -> None:
    """A delete, and each of many, is done at the remote; that there is nothing is no error."""
    for key in ("a", "b", "c"):
        pair.s3.put_object(Bucket=bucket, Key=key, Body=b"content")
    pair.s3.delete_object(Bucket=bucket, Key="a")
    pair.s3.delete_object(Bucket=bucket, Key="a")
    answer = pair.s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": "b"}, {"Key": "none"}, {"Key": "c", "VersionId": "null"}]}
    )
    assert [each["Key"] for each in answer["Deleted"]] == ["b", "none", "c"]
    assert [pair.there(bucket, key) for key in ("a", "b", "c")] == [None, None, None]
    assert code_of(lambda: pair.s3.get_object(Bucket=bucket, Key="a")) == "NoSuchKey"


# --- copies ----------------------------------------------------------------------------------------------------------


def test_a_copy_within_a_remote_is_the_remotes(pair: Pair, bucket: str) -> None:
    """No byte comes here: the remote copies, with the source's metadata or with new one."""
    pair.s3_there.put_object(Bucket=bucket, Key="source", Body=b"content", Metadata={"old": "1"})
    source = {"Bucket": bucket, "Key": "source"}
    pair.s3.put_object(Bucket=bucket, Key="copy", Body=b"what was there")
    etag = pair.s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)["CopyObjectResult"]["ETag"]
    pair.s3.copy_object(
        Bucket=bucket, Key="other", CopySource=source, MetadataDirective="REPLACE", Metadata={"new": "2"}
    )
    assert pair.there(bucket, "copy") == pair.there(bucket, "other") == b"content"
    assert pair.s3_there.head_object(Bucket=bucket, Key="copy")["ETag"] == etag
    assert pair.s3_there.head_object(Bucket=bucket, Key="copy")["Metadata"]["old"] == "1"
    assert pair.s3_there.head_object(Bucket=bucket, Key="other")["Metadata"] == {"new": "2"}
    assert not pair.is_cached(bucket, "copy")
    assert body_of(pair.s3.get_object(Bucket=bucket, Key="copy")) == b"content"
    absent = {"Bucket": bucket, "Key": "absent"}
    assert code_of(lambda: pair.s3.copy_object(Bucket=bucket, Key="x", CopySource=absent)) == "NoSuchKey"
    assert code_of(lambda: pair.s3.copy_object(Bucket=bucket, Key="source", CopySource=source)) == "InvalidRequest"
    wrong = {"CopySource": source, "CopySourceIfMatch": '"0"'}
    assert code_of(lambda: pair.s3.copy_object(Bucket=bucket, Key="x", **wrong)) == "PreconditionFailed"


def test_copies_between_ours_and_a_remote(pair: Pair, bucket: str) -> None:
    """A copy may go either way, and from one remote bucket to another; so may the parts of an upload."""
    ours, other = new_name(), pair.create(new_name())
    content = bytes(range(256)) * 400
    pair.s3.create_bucket(Bucket=ours)
    pair.s3.put_object(Bucket=ours, Key="key", Body=content, Metadata={"a": "b"})
    pair.s3.copy_object(Bucket=bucket, Key="from-ours", CopySource={"Bucket": ours, "Key": "key"})
    assert pair.there(bucket, "from-ours") == content
    assert pair.s3_there.head_object(Bucket=bucket, Key="from-ours")["Metadata"]["a"] == "b"
    assert pair.is_cached(bucket, "from-ours")
    pair.s3_there.put_object(Bucket=bucket, Key="theirs", Body=content, Metadata={"c": "d"})
    for key in ("theirs", "from-ours"):  # one that is not cached, and one that is
        source = {"Bucket": bucket, "Key": key}
        etag = pair.s3.copy_object(Bucket=ours, Key="back", CopySource=source)["CopyObjectResult"]["ETag"]
        assert etag.strip('"') == hashlib.md5(content, usedforsecurity=False).hexdigest()
        assert body_of(pair.s3.get_object(Bucket=ours, Key="back")) == content
        pair.s3.copy_object(Bucket=other, Key=key, CopySource=source)
        assert pair.there(other, key) == content
    upload_id = pair.s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    parts = []
    pair.s3_there.put_object(Bucket=bucket, Key="more", Body=content)
    for number, name in ((1, ours), (2, bucket)):
        source = {"Bucket": name, "Key": "key" if name == ours else "more"}
        answer = pair.s3.upload_part_copy(
            Bucket=bucket, Key="parts", UploadId=upload_id, PartNumber=number, CopySource=source,
            CopySourceRange="bytes=1-1000",
        )  # fmt: skip
        parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
    pair.s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload_id, MultipartUpload={"Parts": parts})
    assert pair.there(bucket, "parts") == content[1:1001] * 2


# --- what does not arrive --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, 200_000])
def test_what_the_remote_refuses_has_not_happened(pair: Pair, size: int) -> None:
    """Both sides are as they were, nothing is left behind, and the error names the cause and no credential."""
    with pair.between() as way:
        bucket = pair.create(new_name(), way.url)
        pair.s3.put_object(Bucket=bucket, Key="key", Body=b"old")
        before = files_of(pair.ours)
        for method, act in (
            ("PUT", lambda: pair.s3.put_object(Bucket=bucket, Key="key", Body=b"n" * size)),
            ("DELETE", lambda: pair.s3.delete_object(Bucket=bucket, Key="key")),
        ):
            way.instead = refusal(method)
            with pytest.raises(ClientError) as caught:
                act()
            error = caught.value.response["Error"]
            assert error["Code"] == "AccessDenied"
            assert f"s3://{bucket}/key" in error["Message"]
            assert "AKID" not in error["Message"]
            assert pair.theirs.secret_key not in error["Message"]
            assert pair.there(bucket, "key") == b"old"
            assert body_of(pair.s3.get_object(Bucket=bucket, Key="key")) == b"old"
            assert pair.is_cached(bucket, "key")
        assert files_of(pair.ours) <= before  # garbage may go meanwhile


def files_of(server: Server) -> set[Path]:
    """The blob files of a store."""
    return {path for path in (server.data / "blobs").rglob("*") if path.is_file()}


def test_a_refused_complete_leaves_the_upload(pair: Pair) -> None:
    """An upload that the remote did not take can be completed later."""
    with pair.between() as way:
        bucket = pair.create(new_name(), way.url)
        upload_id, parts = upload(pair.s3, bucket, "key", b"content")
        wanted = {"Bucket": bucket, "Key": "key", "UploadId": upload_id, "MultipartUpload": {"Parts": parts}}
        way.instead = refusal("PUT")
        assert code_of(lambda: pair.s3.complete_multipart_upload(**wanted)) == "AccessDenied"
        assert pair.there(bucket, "key") is None
        way.instead = lambda _: None
        pair.s3.complete_multipart_upload(**wanted)
        assert pair.there(bucket, "key") == b"content"


@pytest.mark.parametrize("arrives", [True, False])
def test_what_nobody_knows_is_asked_of_the_remote(pair: Pair, arrives: bool) -> None:  # noqa: FBT001 - a parameter
    """Where the remote's answer is lost, reads show what the remote has from then on, whichever that is."""
    with pair.between() as way:
        bucket = pair.create(new_name(), way.url)
        pair.s3.put_object(Bucket=bucket, Key="key", Body=b"old")
        pair.s3.put_object(Bucket=bucket, Key="gone", Body=b"old")
        if arrives:
            way.always = faults.lose
        else:
            way.refuses = True
        put = code_of(lambda: pair.s3.put_object(Bucket=bucket, Key="key", Body=b"new"))
        delete = code_of(lambda: pair.s3.delete_object(Bucket=bucket, Key="gone"))
        assert (put, delete) == ("ServiceUnavailable", "ServiceUnavailable")
        assert code_of(lambda: pair.s3.get_object(Bucket=bucket, Key="key")) == "ServiceUnavailable"
        way.always, way.refuses = faults.sound, False
        expected = b"new" if arrives else b"old"
        assert pair.there(bucket, "key") == expected
        assert body_of(pair.s3.get_object(Bucket=bucket, Key="key")) == expected
        if arrives:
            assert code_of(lambda: pair.s3.get_object(Bucket=bucket, Key="gone")) == "NoSuchKey"
        else:
            assert body_of(pair.s3.get_object(Bucket=bucket, Key="gone")) == b"old"
        pair.s3.put_object(Bucket=bucket, Key="key", Body=b"newer")  # a doubt hinders nobody
        assert body_of(pair.s3.get_object(Bucket=bucket, Key="key")) == b"newer" == pair.there(bucket, "key")


def test_reads_do_not_wait_for_a_write(pair: Pair) -> None:
    """While a write is on its way, a read shows what the remote has at that moment."""
    with pair.between() as way:
        bucket = pair.create(new_name(), way.url)
        pair.s3.put_object(Bucket=bucket, Key="key", Body=b"old")
        has_come, goes_on = threading.Event(), threading.Event()

        async def hold(seen: Seen) -> None:
            if seen.method == "PUT":
                has_come.set()
                await asyncio.to_thread(goes_on.wait, 30)

        way.before = hold
        with ThreadPoolExecutor(1) as threads:
            writing = threads.submit(pair.s3.put_object, Bucket=bucket, Key="key", Body=b"new")
            assert has_come.wait(10)
            assert body_of(pair.s3.get_object(Bucket=bucket, Key="key")) == b"old"
            goes_on.set()
            writing.result()
        assert body_of(pair.s3.get_object(Bucket=bucket, Key="key")) == b"new"


@pytest.mark.parametrize("arrives", [True, False])
def test_a_server_that_is_killed_in_the_middle_serves_nothing_stale(
    theirs: Server,
    tmp_path: Path,
    arrives: bool,  # noqa: FBT001 - a parameter
) -> None:
    """After kill -9 between the remote's write and ours, the next server shows what the remote has."""
    with ExitStack() as stack:
        stack.enter_context(credentials(theirs))
        first = stack.enter_context(serve(tmp_path / "data", repos_port=None))
        pair = Pair(first, theirs, stack)
        way = stack.enter_context(pair.between())
        bucket = pair.create(new_name(), way.url)
        for key in ("key", "gone"):
            pair.s3.put_object(Bucket=bucket, Key=key, Body=b"old")
        has_come = threading.Semaphore(0)

        def hang(reply: Reply) -> Reply | None:
            has_come.release()
            return faults.slow(60)(reply)

        async def wait(seen: Seen) -> None:
            if seen.method in {"PUT", "DELETE"}:
                has_come.release()
                await asyncio.sleep(60)

        if arrives:
            way.plan = [hang, hang]
        else:
            way.before = wait
        calls: list[Callable[[], object]] = [
            lambda: pair.s3.put_object(Bucket=bucket, Key="key", Body=b"new"),
            lambda: pair.s3.delete_object(Bucket=bucket, Key="gone"),
        ]
        with ThreadPoolExecutor(2) as threads:
            under_way = [threads.submit(call) for call in calls]
            for _ in calls:
                assert has_come.acquire(timeout=10)
            first.stop(signal.SIGKILL)
            for each in under_way:
                assert each.exception(10) is not None
        way.plan, way.before = [], None
        with serve(tmp_path / "data", repos_port=None) as second:
            again = Pair(second, theirs, stack)
            assert body_of(again.s3.get_object(Bucket=bucket, Key="key")) == (b"new" if arrives else b"old")
            if arrives:
                assert code_of(lambda: again.s3.get_object(Bucket=bucket, Key="gone")) == "NoSuchKey"
            else:
                assert body_of(again.s3.get_object(Bucket=bucket, Key="gone")) == b"old"
        assert check(tmp_path / "data") == []


def test_a_turn_that_was_lost_caches_nothing(pair: Pair, tmp_path: Path) -> None:
    """A process that was stopped for so long that others went on takes down nothing of what it knew before."""

    async def story() -> None:
        gateway = open_gateway(tmp_path / "data", inline_limit=1000)
        try:
            await gateway.folders.open()
            properties = {"extra": {"aws": {"endpoint": way.url}}}
            name = BucketName(bucket, "aws")
            known = await gateway.buckets.create(EVERYONE, name, properties=properties)
            writing = asyncio.create_task(gateway.objects.put(EVERYONE, name, "key", Body(), NewObject()))
            assert await asyncio.to_thread(has_come.wait, 10)
            await gateway.rooms.catalog.write(
                lambda tx: tx.execute("UPDATE intents SET owner = 'another' WHERE log = ?", (known.log,))
            )
            goes_on.set()
            version = await writing
            assert (version.size, pair.there(bucket, "key")) == (7, b"content")
            intent = await gateway.rooms.catalog.read(lambda tx: intents.find(tx, known.log, "key"))
            assert intent is not None
            assert intent.owner == "another"
            assert await gateway.buckets.size(EVERYONE, name) == (known, 0, 0)
        finally:
            await gateway.close()

    has_come, goes_on = threading.Event(), threading.Event()

    async def hold(seen: Seen) -> None:
        if seen.method == "PUT":
            has_come.set()
            await asyncio.to_thread(goes_on.wait, 30)

    with pair.between() as way, credentials(pair.theirs):
        bucket = new_name()
        pair.s3_there.create_bucket(Bucket=bucket)
        way.before = hold
        asyncio.run(story())


class Body:
    """What a door hands to the gateway."""

    size: int | None = 7
    algorithms: Sequence[str] = ()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"content"

    def verify(self, digests: Mapping[str, bytes]) -> Mapping[str, str]:
        """Nothing was promised."""
        del digests
        return {}


# --- who is first ----------------------------------------------------------------------------------------------------


def test_writers_of_one_key_take_turns(pair: Pair) -> None:
    """However many write a key through several workers, the remote is asked by one at a time, and both sides agree."""
    with pair.between() as way:
        bucket = pair.create(new_name(), way.url)
        under_way = most = 0

        async def count(seen: Seen) -> None:
            nonlocal under_way, most
            if seen.method in {"PUT", "DELETE"}:
                under_way += 1
                most = max(most, under_way)
                await asyncio.sleep(0.02)
                under_way -= 1

        way.before = count
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda n: pair.s3.put_object(Bucket=bucket, Key="key", Body=b"%d" % n), range(24)))
        assert most == 1
        here = pair.s3.get_object(Bucket=bucket, Key="key")
        assert body_of(here) == pair.there(bucket, "key")
        assert here["ETag"] == pair.s3_there.head_object(Bucket=bucket, Key="key")["ETag"]
        left = f"SELECT count(*) FROM intents WHERE log IN (SELECT log FROM buckets WHERE name = '{bucket}')"
        assert query(pair.ours.data, left) == [(0,)]


def test_conditions_are_the_remotes_to_hold(pair: Pair, bucket: str) -> None:
    """If-None-Match: * and If-Match are decided by what the remote has, not by what is cached; others are refused."""
    pair.s3_there.put_object(Bucket=bucket, Key="key", Body=b"theirs")
    put = {"Bucket": bucket, "Key": "key", "Body": b"ours"}
    assert code_of(lambda: pair.s3.put_object(**put, IfNoneMatch="*")) == "PreconditionFailed"
    assert code_of(lambda: pair.s3.put_object(**put, IfMatch='"0"')) == "PreconditionFailed"
    assert pair.there(bucket, "key") == b"theirs"
    etag = pair.s3_there.head_object(Bucket=bucket, Key="key")["ETag"]
    pair.s3.put_object(**put, IfMatch=etag)
    assert pair.there(bucket, "key") == b"ours"
    pair.s3.put_object(Bucket=bucket, Key="new", Body=b"new", IfNoneMatch="*")
    assert code_of(lambda: pair.s3.put_object(**put, IfMatch="*")) == "NotImplemented"
    assert code_of(lambda: pair.s3.delete_object(Bucket=bucket, Key="key", IfMatch=etag)) == "PreconditionFailed"
    upload_id, parts = upload(pair.s3, bucket, "key", b"parts")
    wanted = {"Bucket": bucket, "Key": "key", "UploadId": upload_id, "MultipartUpload": {"Parts": parts}}
    assert code_of(lambda: pair.s3.complete_multipart_upload(**wanted, IfNoneMatch="*")) == "PreconditionFailed"
    assert body_of(pair.s3.get_object(Bucket=bucket, Key="key")) == b"ours" == pair.there(bucket, "key")


def test_what_a_remote_cannot_do_is_said(pair: Pair, bucket: str) -> None:
    """What is kept beside objects here and not there is refused, and nothing is written."""
    ask = {"Bucket": bucket, "Key": "key"}
    put = {**ask, "Body": b"content"}
    acts: list[Callable[[], object]] = [
        lambda: pair.s3.put_object(**put, StorageClass="GLACIER"),
        lambda: pair.s3.put_object(**put, WebsiteRedirectLocation="/else"),
        lambda: pair.s3.put_object(**put, WriteOffsetBytes=0),
        lambda: pair.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}),
        lambda: pair.s3.list_object_versions(Bucket=bucket),
        lambda: pair.s3.delete_bucket(Bucket=bucket),
    ]
    assert [code_of(act) for act in acts] == ["NotImplemented"] * len(acts)
    assert pair.there(bucket, "key") is None
    assert pair.s3_there.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


# --- answers that take long ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def patient(theirs: Server) -> Iterator[Pair]:
    """A server whose answers begin before they are known, after hardly any time."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setattr(waiting, "SOON_SECONDS", 0.05)
        patch.setattr(waiting, "BLANK_SECONDS", 0.02)
        stack.enter_context(credentials(theirs))
        yield Pair(stack.enter_context(serve_in_thread(repos_port=None)), theirs, stack)


@pytest.mark.parametrize("fails", [False, True])
def test_a_long_complete_keeps_its_connection(patient: Pair, fails: bool) -> None:  # noqa: FBT001 - a parameter
    """While the remote takes its time the client gets blanks, and in the end the document, or that of an error."""
    with patient.between() as way:
        bucket = patient.create(new_name(), way.url)
        upload_id, parts = upload(patient.s3, bucket, "key", b"content")
        goes_on = threading.Event()

        async def hold(seen: Seen) -> None:
            if seen.method == "PUT":
                await asyncio.to_thread(goes_on.wait, 30)

        way.before = hold
        if fails:
            way.instead = refusal("PUT")
        document = "<Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part>".format(parts[0]["ETag"])
        connection = http.client.HTTPConnection("127.0.0.1", patient.ours.port)
        with closing(connection):
            body = f"<CompleteMultipartUpload>{document}</CompleteMultipartUpload>"
            connection.request("POST", f"/{bucket}/key?uploadId={upload_id}", body)
            answer = connection.getresponse()
            assert answer.status == 200
            begun = b""
            while not begun.endswith(b"\n  "):  # the declaration, and two blanks
                begun += answer.read(1)
            goes_on.set()
            rest = answer.read().decode()
        assert ("<Code>AccessDenied</Code>" in rest) == fails
        assert ("<CompleteMultipartUploadResult" in rest) != fails
        assert patient.there(bucket, "key") == (None if fails else b"content")


def test_clients_understand_a_long_complete(patient: Pair) -> None:
    """An SDK takes an answer that began early for what it says in the end."""
    with patient.between() as way:
        bucket = patient.create(new_name(), way.url)
        upload_id, parts = upload(patient.s3, bucket, "key", b"content")
        wanted = {"Bucket": bucket, "Key": "key", "UploadId": upload_id, "MultipartUpload": {"Parts": parts}}

        async def take_long(seen: Seen) -> None:
            await asyncio.sleep(0.2 if seen.method == "PUT" else 0)

        way.before = take_long
        way.instead = refusal("PUT")
        assert code_of(lambda: patient.s3.complete_multipart_upload(**wanted)) == "AccessDenied"
        way.instead = lambda _: None
        etag = patient.s3.complete_multipart_upload(**wanted)["ETag"]
        assert etag == patient.s3_there.head_object(Bucket=bucket, Key="key")["ETag"]


def test_a_client_that_gives_up_does_not_stop_a_complete(patient: Pair) -> None:
    """Who comes back with the same request gets the answer of the one that went on."""
    with patient.between() as way:
        bucket = patient.create(new_name(), way.url)
        upload_id, parts = upload(patient.s3, bucket, "key", b"content")
        wanted = {"Bucket": bucket, "Key": "key", "UploadId": upload_id, "MultipartUpload": {"Parts": parts}}
        puts = 0

        async def hold(seen: Seen) -> None:
            nonlocal puts
            if seen.method == "PUT":
                puts += 1
                await asyncio.sleep(0.5)

        way.before = hold
        impatient = patient.ours.boto3_client(config=ONCE.merge(type(ONCE)(read_timeout=0.01)))
        with suppress(Exception):
            impatient.complete_multipart_upload(**wanted)
        impatient.close()
        assert patient.s3.complete_multipart_upload(**wanted)["ETag"]
        assert puts == 1
        assert patient.there(bucket, "key") == b"content"
