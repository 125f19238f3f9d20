"""Group 22: a document from a client is small, plain and complete, or it is refused at little cost."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from tests.attacks.signing import Request
from tests.attacks.world import World, path

# Every operation that reads a document: where it is sent, and one that it takes.
DOCUMENTS = {
    "CreateBucketConfiguration": (
        "PUT",
        "/new-bucket",
        "",
        "<CreateBucketConfiguration><LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
    ),
    "VersioningConfiguration": (
        "PUT",
        "/{bucket}",
        "versioning",
        "<VersioningConfiguration><Status>{}</Status></VersioningConfiguration>",
    ),
    "bucket Tagging": (
        "PUT",
        "/{bucket}",
        "tagging",
        "<Tagging><TagSet><Tag><Key>k</Key><Value>{}</Value></Tag></TagSet></Tagging>",
    ),
    "object Tagging": (
        "PUT",
        "/{bucket}/key",
        "tagging",
        "<Tagging><TagSet><Tag><Key>k</Key><Value>{}</Value></Tag></TagSet></Tagging>",
    ),
    "Delete": ("POST", "/{bucket}", "delete", "<Delete><Object><Key>{}</Key></Object></Delete>"),
    "CompleteMultipartUpload": (
        "POST",
        "/{bucket}/key",
        "uploadId={upload}",
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part></CompleteMultipartUpload>",
    ),
}


def request_of(world: World, bucket: str, name: str, document: bytes) -> Request:
    """A request with this document to the operation that reads it."""
    method, target, query, _ = DOCUMENTS[name]
    upload = world.begin(world.alice, bucket, "key") if "{upload}" in query else ""
    return Request(method, target.format(bucket=bucket), query.format(upload=upload), body=document)


def refused(world: World, bucket: str, name: str, document: bytes) -> None:
    """Sends a document that is to be refused as malformed and to change nothing."""
    request = request_of(world, bucket, name, document)
    before = world.bucket_state(bucket)
    reply = world.send(request, world.alice)
    assert (reply.status, reply.code) == (400, "MalformedXML"), reply
    assert b"root:" not in reply.body
    assert world.bucket_state(bucket) == before
    assert world.send(Request("HEAD", "/new-bucket"), world.alice).status == 404


ENTITIES = {
    "billion laughs": '<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
    "quadratic blowup": f'<!ENTITY i "{"a" * 50_000}">',
    "recursive": '<!ENTITY i "&i;">',
    "mutually recursive": '<!ENTITY i "&j;"><!ENTITY j "&i;">',
    "harmless": '<!ENTITY i "key">',
    "file": '<!ENTITY i SYSTEM "file:///etc/passwd">',
    "relative file": '<!ENTITY i SYSTEM "../secret.key">',
    "public": '<!ENTITY i PUBLIC "x" "file:///etc/passwd">',
    "network": '<!ENTITY i SYSTEM "http://127.0.0.1:{port}/">',
    "parameter": '<!ENTITY % p SYSTEM "http://127.0.0.1:{port}/">%p;<!ENTITY i "x">',
    "unparsed": '<!NOTATION n SYSTEM "x"><!ENTITY i SYSTEM "file:///etc/passwd" NDATA n>',
}


@pytest.mark.parametrize("how", ENTITIES)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_cve_2022_47950_no_entity_is_expanded_or_fetched(world: World, bucket: str, name: str, how: str) -> None:
    """A document type with anything in it is refused: no memory is filled, no file read, no address called."""
    content = DOCUMENTS[name][3].format("&i;" * (1000 if how == "quadratic blowup" else 1))
    root = name.rpartition(" ")[2]
    with listening() as port:
        entities = ENTITIES[how].replace("{port}", str(port))
        document = f'<?xml version="1.0"?><!DOCTYPE {root} [{entities}]>{content}'
        refused(world, bucket, name, document.encode())


@contextlib.contextmanager
def listening() -> Iterator[int]:
    """An address of this machine's that nobody may call."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        yield server.getsockname()[1]
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize(
    "how",
    [
        "a DTD",
        "an external DTD",
        "empty",
        "blank",
        "no XML",
        "JSON",
        "not closed",
        "two roots",
        "another root",
        "a root of small letters",
        "not UTF-8",
        "a NUL",
        "a wrong encoding",
        "an unknown element",
        "an element twice",
        "an attribute twice",
        "deep",
        "wide",
        "larger than any",
        "an element in itself",
        "an element in a value",
        "a list twice",
    ],
)
def test_a_document_is_plain_and_complete(world: World, bucket: str, name: str, how: str) -> None:
    """What is malformed, has more in it than the operation knows, or is out of all proportion, is refused."""
    good = DOCUMENTS[name][3].format("x")
    root = name.rpartition(" ")[2]
    inner = good[len(root) + 2 : -len(root) - 3]
    documents = {
        "a DTD": f"<!DOCTYPE {root}>{good}",
        "an external DTD": f'<!DOCTYPE {root} SYSTEM "file:///etc/passwd">{good}',
        "empty": "",
        "blank": " \n",
        "no XML": "hello",
        "JSON": "{}",
        "not closed": good[:-5],
        "two roots": good + good,
        "another root": good.replace(root, "Other"),
        "a root of small letters": good.replace(root, root.lower()),
        "not UTF-8": good,
        "a NUL": good.replace("x", "\0"),
        "a wrong encoding": f'<?xml version="1.0" encoding="UTF-32"?>{good}',
        "an unknown element": f"<{root}>{inner}<Unknown/></{root}>",
        "an element twice": f"<{root}>{_twice(inner)}</{root}>",
        "an attribute twice": good.replace(f"<{root}>", f'<{root} a="1" a="2">'),
        "deep": "<a>" * 20_000 + "</a>" * 20_000,
        "wide": f"<{root}>{'<Unknown/>' * 5000}</{root}>",
        "larger than any": f"<{root}>{' ' * (4 * 1024 * 1024)}{inner}</{root}>",
        "an element in a value": good.replace("x", "x<b/>y"),
        "a list twice": f"<{root}>{_list_twice(inner)}</{root}>",
        "an element in itself": f"<{root}><{root}>{inner}</{root}></{root}>",
    }
    document = documents[how].encode()
    if how == "not UTF-8":
        document = document.replace(b"x", b"\xff\xfe")
    if how == "empty" and name == "CreateBucketConfiguration":
        return  # a bucket may be made without a document
    refused(world, bucket, name, document)


def _list_twice(inner: str) -> str:
    """The list within a document, repeated; without one, something that is not known."""
    return inner + inner if inner.startswith("<TagSet>") else f"{inner}<List/><List/>"


def _twice(inner: str) -> str:
    """The first element that holds a value, repeated."""
    for leaf in ("LocationConstraint", "Status", "Value", "Key", "ETag"):
        if f"<{leaf}>" in inner:
            element = inner[inner.index(f"<{leaf}>") : inner.index(f"</{leaf}>") + len(leaf) + 3]
            return inner.replace(element, element + element)
    raise AssertionError(inner)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_nobodys_document_is_read_for_nothing(world: World, bucket: str, name: str) -> None:
    """Who may not do what a document asks for is refused before it is read, however large or malformed it is."""
    if name == "CreateBucketConfiguration":
        return  # anybody with credentials may make a bucket
    request = request_of(world, bucket, name, b"<not xml" + b" " * 100_000)
    for keys in (world.bob, None):
        reply = world.send(request, keys)
        assert (reply.status, reply.code) == (403, "AccessDenied")


def test_good_documents_are_taken(world: World) -> None:
    """With or without namespace and declaration, with comments and blanks, the documents that clients send work."""
    for number, attribute in enumerate(("", ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"')):
        bucket = world.make_bucket(world.alice)
        world.put(world.alice, bucket, "key", b"x")
        for name, value in (
            ("bucket Tagging", "v"),
            ("object Tagging", "v"),
            ("VersioningConfiguration", "Enabled"),
            ("Delete", "key"),
        ):
            root = name.rpartition(" ")[2]
            good = DOCUMENTS[name][3].format(value).replace(f"<{root}>", f"<{root}{attribute}>\n<!-- comment -->\n")
            document = f'<?xml version="1.0" encoding="UTF-8"?>\n{good}' if number else good
            assert world.send(request_of(world, bucket, name, document.encode()), world.alice).status in {200, 204}, (
                name
            )
        utf_16 = '<?xml version="1.0" encoding="UTF-16"?><Delete><Object><Key>é</Key></Object></Delete>'.encode(
            "utf-16"
        )
        reply = world.send(Request("POST", f"/{bucket}", "delete", body=utf_16), world.alice)
        assert reply.text("Key") == "é" or reply.code == "MalformedXML"


def test_a_thousand_keys_are_deleted_at_once_and_no_more(world: World, bucket: str) -> None:
    """A list of 1,000 keys is done, one of 1,001 or of a hundred thousand is refused whole, as is an empty one."""

    def delete(count: int) -> tuple[int, str]:
        objects = "".join(f"<Object><Key>key{number or ''}</Key></Object>" for number in range(count))
        reply = world.send(
            Request("POST", f"/{bucket}", "delete", body=f"<Delete>{objects}</Delete>".encode()), world.alice
        )
        return reply.status, reply.code

    for count in (0, 1001, 100_000):
        assert delete(count) == (400, "MalformedXML")
        assert world.get(world.alice, bucket, "key").status == 200
    assert delete(1000) == (200, "")
    assert world.get(world.alice, bucket, "key").status == 404


@pytest.mark.parametrize(
    "key",
    [
        "<x>",
        "&amp;",
        "]]>",
        "</Key><Key>other</Key>",
        "'\"",
        "é😀",
        "\x01",
        "a\nb",
        " ",
        "<!-- -->",
        "<![CDATA[x]]>",
        "&#x0;",
    ],
)
def test_a_key_adds_nothing_to_a_document(world: World, bucket: str, key: str) -> None:
    """A key with markup in it is one key in every answer, and reads as what it is."""
    world.put(world.alice, bucket, key, b"marked up")
    for query in ("prefix=", "list-type=2", "versions"):
        reply = world.send(Request("GET", f"/{bucket}", f"{query}&encoding-type=url"), world.alice)
        assert len(reply.texts("Key")) == 2
        if "\x01" not in key:
            plain = world.send(Request("GET", f"/{bucket}", query), world.alice)
            assert sorted(plain.texts("Key")) == sorted([key, "key"])
    if "\x01" not in key:  # Amazon shows it as a reference that XML 1.0 has not, and so do we
        missing = world.send(Request("GET", path(bucket, f"{key}-"), "versionId=null"), world.alice)
        assert missing.status == 404
        assert missing.text("Key") in {"", f"{key}-"}
