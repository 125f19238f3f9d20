"""Group 21: an upload becomes the object that its parts and its owner say, once, or stays what it is."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable

import pytest

from tests.attacks.signing import Keys, Request
from tests.attacks.world import Reply, World

MIB = 1024 * 1024


def document(*parts: tuple[object, str]) -> bytes:
    """A request to complete."""
    listed = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts)
    return f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()


def complete(world: World, keys: Keys | None, bucket: str, key: str, upload: str, body: bytes, **headers: str) -> Reply:
    """Asks for an upload to be completed."""
    request = Request("POST", f"/{bucket}/{key}", f"uploadId={upload}", body=body).with_headers(**headers)
    return world.send(request, keys)


def refused(world: World, bucket: str, upload: str, body: bytes, codes: Iterable[str], **headers: str) -> None:
    """Tries to complete alice's upload, is refused, and leaves upload and object as they were."""
    before = world.bucket_state(bucket)
    reply = complete(world, world.alice, bucket, "key", upload, body, **headers)
    assert reply.status in {400, 404}, reply
    assert reply.code in codes, reply
    assert world.bucket_state(bucket) == before


@pytest.fixture
def upload(world: World, bucket: str) -> tuple[str, dict[int, str]]:
    """An upload of alice's to "key" with three parts: 2 and 5 large enough for any place, 7 small."""
    upload = world.begin(world.alice, bucket, "key")
    sizes = {2: 5 * MIB, 5: 5 * MIB + 1, 7: 10}
    etags = {
        number: world.part(world.alice, bucket, "key", upload, number, bytes(size)) for number, size in sizes.items()
    }
    return upload, etags


def test_a_completion_that_is_wrong_changes_nothing(
    world: World, bucket: str, upload: tuple[str, dict[int, str]]
) -> None:
    """Parts that are missing, twice, out of order, too small, of another ETag or of impossible numbers are refused."""
    upload_id, etags = upload
    wrong = '"' + "0" * 32 + '"'
    part = {"InvalidPart"}
    for body, codes in (
        (document(), {"MalformedXML"}),
        (document((1, etags[2])), part),
        (document((2, etags[2]), (3, etags[5])), part),
        (document((2, wrong)), part),
        (document((2, "")), part),
        (document((2, etags[5])), part),
        (document((5, etags[5]), (2, etags[2])), {"InvalidPartOrder"}),
        (document((2, etags[2]), (2, etags[2])), {"InvalidPartOrder"}),
        (document((2, etags[2]), (5, etags[5]), (2, etags[2])), {"InvalidPartOrder"}),
        (document((0, etags[2])), part),
        (document((10_001, etags[2])), part),
        (document((99999999999999999999, etags[2])), {"MalformedXML"}),
        (document((-2, etags[2])), {"MalformedXML"}),
        (document(("2.0", etags[2])), {"MalformedXML"}),
        (document(("+2", etags[2])), {"MalformedXML"}),
        (document(("0x2", etags[2])), {"MalformedXML"}),
        (document(("2e0", etags[2])), {"MalformedXML"}),
        (document(("٢", etags[2])), {"MalformedXML"}),
        (document(("", etags[2])), {"MalformedXML"}),
        (
            b"<CompleteMultipartUpload><Part><PartNumber>2</PartNumber></Part></CompleteMultipartUpload>",
            {"MalformedXML"},
        ),
        (
            f"<CompleteMultipartUpload><Part><ETag>{etags[2]}</ETag></Part></CompleteMultipartUpload>".encode(),
            {"MalformedXML"},
        ),
        (b"", {"MalformedXML", "MissingRequestBodyError"}),
    ):
        refused(world, bucket, upload_id, body, codes)
    small = world.part(world.alice, bucket, "key", upload_id, 9, bytes(10))
    refused(world, bucket, upload_id, document((7, etags[7]), (9, small)), {"EntityTooSmall"})
    done = complete(world, world.alice, bucket, "key", upload_id, document((2, etags[2]), (5, etags[5]), (9, small)))
    assert done.status == 200
    assert world.get(world.alice, bucket, "key").headers["content-length"] == str(10 * MIB + 11)


def test_what_is_said_of_the_whole_has_to_be_so(world: World, bucket: str, upload: tuple[str, dict[int, str]]) -> None:
    """A size or checksum of the object, or of a part, that does not match refuses the completion."""
    upload_id, etags = upload
    body = document((2, etags[2]))
    for headers, codes in (
        ({"x_amz_mp_object_size": "1"}, {"InvalidRequest"}),
        ({"x_amz_mp_object_size": "-1"}, {"InvalidArgument"}),
        ({"x_amz_mp_object_size": "x"}, {"InvalidArgument"}),
        ({"x_amz_mp_object_size": "9" * 30}, {"InvalidArgument"}),
        ({"x_amz_checksum_crc64nvme": "AAAAAAAAAAE="}, {"BadDigest"}),
        ({"x_amz_checksum_type": "COMPOSITE"}, {"InvalidRequest"}),
        ({"if_match": '"x"'}, {"PreconditionFailed", "NoSuchKey"}),
    ):
        before = world.bucket_state(bucket)
        reply = complete(world, world.alice, bucket, "key", upload_id, body, **headers)
        assert reply.status in {400, 404, 412}, (headers, reply)
        assert reply.code in codes, (headers, reply)
        assert world.bucket_state(bucket) == before
    with_checksum = body.replace(b"</ETag>", b"</ETag><ChecksumCRC64NVME>AAAAAAAAAAE=</ChecksumCRC64NVME>")
    refused(world, bucket, upload_id, with_checksum, {"InvalidPart"})


@pytest.mark.parametrize(
    "number", ["0", "-1", "10001", "99999999999", "9" * 100, "1.5", "1e3", "abc", "", "%2B1", "%D9%A1", "1%20"]
)
def test_a_part_has_a_number_that_a_part_can_have(world: World, bucket: str, number: str) -> None:
    """A part is uploaded or copied under a number from 1 to 10,000, and under nothing else."""
    upload_id = world.begin(world.alice, bucket, "key")
    before = world.bucket_state(bucket)
    for headers in ({}, {"x_amz_copy_source": f"{bucket}/key"}):
        request = Request(
            "PUT", f"/{bucket}/key", f"partNumber={number}&uploadId={upload_id}", body=b"" if headers else b"part"
        )
        reply = world.send(request.with_headers(**headers), world.alice)
        assert (reply.status, reply.code) == (400, "InvalidArgument")
    assert world.bucket_state(bucket) == before


@pytest.mark.parametrize(
    "upload_id",
    [
        "x",
        "",
        "%00",
        "..%2F..%2Fsecret.key",
        "0" * 5000,
        "%F0%9F%98%80",
        "null",
        "' OR 1=1 --",
        "{other}",
        "{gone}",
        "{done}",
    ],
)
def test_an_upload_id_is_one_that_was_given_out(world: World, bucket: str, upload_id: str) -> None:
    """An id that nobody has, that belongs to another key or bucket, or whose upload is over, finds nothing."""
    other_bucket = world.make_bucket(world.alice)
    gone, done = (world.begin(world.alice, bucket, "key") for _ in range(2))
    world.send(Request("DELETE", f"/{bucket}/key", f"uploadId={gone}"), world.alice)
    etag = world.part(world.alice, bucket, "key", done, 1, b"done")
    assert complete(world, world.alice, bucket, "key", done, document((1, etag))).status == 200
    others = [world.begin(world.alice, bucket, "other"), world.begin(world.alice, other_bucket, "key")]
    before = world.bucket_state(bucket), world.bucket_state(other_bucket)
    ids = others if upload_id == "{other}" else [upload_id.format(gone=gone, done=done).replace(" ", "%20")]
    for raw in ids:
        for method, query, body in (
            ("PUT", f"partNumber=1&uploadId={raw}", b"part"),
            ("GET", f"uploadId={raw}", b""),
            ("DELETE", f"uploadId={raw}", b""),
            ("POST", f"uploadId={raw}", document((1, '"x"'))),
        ):
            reply = world.send(Request(method, f"/{bucket}/key", query, body=body), world.alice)
            assert reply.status in {400, 404}, (method, reply)
            assert reply.code in {"NoSuchUpload", "InvalidURI", "InvalidArgument", "RequestHeaderSectionTooLarge"}
    assert (world.bucket_state(bucket), world.bucket_state(other_bucket)) == before


def test_another_users_upload_is_out_of_reach(world: World, bucket: str) -> None:
    """Who knows an id and is not the owner neither adds to, lists, completes nor ends the upload."""
    upload_id = world.begin(world.alice, bucket, "key")
    etag = world.part(world.alice, bucket, "key", upload_id, 1, b"part")
    own = world.make_bucket(world.bob)
    before = world.bucket_state(bucket), world.bucket_state(own)
    for target, status in ((bucket, 403), (own, 404)):
        for method, query, body in (
            ("PUT", f"partNumber=2&uploadId={upload_id}", b"bob's"),
            ("PUT", f"partNumber=1&uploadId={upload_id}", b"bob's"),
            ("GET", f"uploadId={upload_id}", b""),
            ("POST", f"uploadId={upload_id}", document((1, etag))),
            ("DELETE", f"uploadId={upload_id}", b""),
        ):
            reply = world.send(Request(method, f"/{target}/key", query, body=body), world.bob)
            assert (reply.status, method) == (status, method)
    assert (world.bucket_state(bucket), world.bucket_state(own)) == before


def test_a_completion_that_is_repeated_is_answered_the_same(world: World, bucket: str) -> None:
    """The same request again gets the same answer, makes no other version and brings nothing back."""
    versioned = world.make_bucket(world.alice, versioned=True)
    for name in (bucket, versioned):
        upload_id = world.begin(world.alice, name, "key")
        etag = world.part(world.alice, name, "key", upload_id, 1, b"part")
        first = complete(world, world.alice, name, "key", upload_id, document((1, etag)))
        assert first.status == 200
        world.send(Request("DELETE", f"/{name}/key"), world.alice)
        before = world.bucket_state(name)
        again = complete(world, world.alice, name, "key", upload_id, document((1, etag)))
        assert (again.status, again.body) == (200, first.body)
        assert again.headers.get("x-amz-version-id") == first.headers.get("x-amz-version-id")
        assert world.bucket_state(name) == before
        refused(world, name, upload_id, document((1, '"x"')), {"NoSuchUpload"})
        refused(world, name, upload_id, document((2, etag)), {"NoSuchUpload"})


def test_a_part_that_is_replaced_while_it_is_completed_is_one_or_the_other(world: World, bucket: str) -> None:
    """The object is made of the part that the request named, or the request is refused; never of another."""
    for _ in range(5):
        upload_id = world.begin(world.alice, bucket, "key")
        old = world.part(world.alice, bucket, "key", upload_id, 1, b"old")
        replies: list[Reply] = []

        def replace(upload_id: str = upload_id, replies: list[Reply] = replies) -> None:
            request = Request("PUT", f"/{bucket}/key", f"partNumber=1&uploadId={upload_id}", body=b"new")
            replies.append(world.send(request, world.alice))

        thread = threading.Thread(target=replace)
        thread.start()
        done = complete(world, world.alice, bucket, "key", upload_id, document((1, old)))
        thread.join()
        if done.status == 200:
            assert world.get(world.alice, bucket, "key").body == b"old"
            assert replies[0].status in {200, 404}
        else:
            assert (done.code, replies[0].status) == ("InvalidPart", 200)
            world.send(Request("DELETE", f"/{bucket}/key", f"uploadId={upload_id}"), world.alice)


def test_many_completions_at_once_make_one_object(world: World) -> None:
    """Of completions that come together all are answered alike, and one version is made."""
    bucket = world.make_bucket(world.alice, versioned=True)
    upload_id = world.begin(world.alice, bucket, "key")
    etag = world.part(world.alice, bucket, "key", upload_id, 1, b"part")
    replies: list[Reply] = []

    def one() -> None:
        replies.append(complete(world, world.alice, bucket, "key", upload_id, document((1, etag))))

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(reply.status, reply.body) for reply in replies} == {(200, replies[0].body)}
    assert len(world.send(Request("GET", f"/{bucket}", "versions"), world.alice).texts("VersionId")) == 1


def test_an_etag_is_of_the_parts_that_were_named(world: World, bucket: str, upload: tuple[str, dict[int, str]]) -> None:
    """The object's ETag is the hash of its parts' hashes, and says how many there are."""
    upload_id, etags = upload
    done = complete(world, world.alice, bucket, "key", upload_id, document((2, etags[2]), (7, etags[7])))
    digests = b"".join(bytes.fromhex(etags[number].strip('"')) for number in (2, 7))
    expected = f'"{hashlib.md5(digests).hexdigest()}-2"'
    assert done.text("ETag") == world.get(world.alice, bucket, "key").headers["etag"] == expected
