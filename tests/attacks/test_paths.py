"""Group 18: a key is a name and never a path: it leads nowhere but to its own object in its own bucket."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest

from tests.attacks.signing import Request
from tests.attacks.world import World, path

NAMES = re.compile(
    r"catalog\.(db|db-wal|db-shm|gate|lock|generation)|secret\.key|tidegate\.lock|[\w.-]*\.lock|blobs/[0-9a-f]{2}/[0-9a-f]{32}"
)

STRANGE = [
    "..",
    ".",
    "../..",
    "../key",
    "../../../../etc/passwd",
    "a/../../b",
    "./a",
    "a/.",
    "a/..",
    "/",
    "//",
    "/etc/passwd",
    "//etc//passwd",
    "a//b",
    "a/",
    "..\\..\\a",
    "C:\\Windows\\win.ini",
    "CON",
    "nul.txt",
    "aux/prn",
    "a.",
    "a ",
    " a",
    "\t",
    "\n",
    "\r\n",
    "\x01\x1f\x7f",
    "%2e%2e%2f",
    "%00",
    "%",
    "catalog.db",
    "../catalog.db",
    "../../catalog.db-wal",
    "secret.key",
    "../secret.key",
    "blobs/00/00000000000000000000000000000000",
    "../blobs",
    ".git/config",
    ".minio.sys/config",
    ".tidegate",
    "~root",
    "$HOME",
    "`id`",
    "$(id)",
    "|id",
    "-rf",
    "--help",
    "*",
    "?",
    "key;versionId=1",
    "key?versionId=1",
    "key#fragment",
    "uploads",
    "part.1",
    "\u202e",
    "\ufeff",
    "\U0010ffff",
    "é",
    "e\u0301",
    "A",
    "a",
    "İ",
    "ſ",
    "x" * 1024,
    "é" * 512,
    "/".join(["a"] * 512),
]


def test_every_strange_key_is_an_object_of_its_own(world: World) -> None:
    """Any key comes back with its own bytes, none is another's, and all are listed as they were written."""
    bucket = world.make_bucket(world.alice)
    for key in STRANGE:
        world.put(world.alice, bucket, key, key.encode())
    for key in STRANGE:
        assert world.get(world.alice, bucket, key).body == key.encode()
        escaped = "".join(f"%{byte:02x}" for byte in key.encode())
        assert world.send(Request("GET", f"/{bucket}/{escaped}"), world.alice).body == key.encode()
    listed = world.send(Request("GET", f"/{bucket}", "list-type=2&encoding-type=url"), world.alice).texts("Key")
    assert listed == [quote(key, safe="/-_.~") for key in sorted(STRANGE, key=str.encode)]
    for key in STRANGE:
        assert world.send(Request("DELETE", path(bucket, key)), world.alice).status == 204
    assert world.send(Request("DELETE", f"/{bucket}"), world.alice).status == 204


def test_no_key_names_a_file(world: World) -> None:
    """Whatever the keys, the data folder has the server's own files and blobs under random names, and nothing else."""
    bucket = world.make_bucket(world.alice)
    for key in STRANGE:
        world.put(world.alice, bucket, key, bytes(70_000))
    data = world.server.data
    names = [str(file.relative_to(data)) for file in world.files()]
    assert [name for name in names if not NAMES.fullmatch(name)] == []
    assert not (data.parent / "key").exists()
    for key in STRANGE:
        world.send(Request("DELETE", path(bucket, key)), world.alice)


TRAVERSALS = (
    "/{own}/../{victim}/key",
    "/{own}/%2e%2e/{victim}/key",
    "/{own}/%2E%2E%2F{victim}%2Fkey",
    "/{own}/..%2f{victim}/key",
    "/{own}/..%5c{victim}%5ckey",
    "/{own}/..\\{victim}\\key",
    "/{own}/./../{victim}/key",
    "/{own}//../{victim}/key",
    "/{own}/a/../../{victim}/key",
    "/{own}/%252e%252e/{victim}/key",
    "/{own}/..;/{victim}/key",
    "/{own}%2f..%2f{victim}/key",
    "/{own}/../../{victim}/key",
    "/s3/{own}/../{victim}/key",
    "/s3/../{own}/../{victim}/key",
    "/{own}/..%c0%af{victim}/key",
    "/{own}/.%00./{victim}/key",
    "/{own}/%ff/../{victim}/key",
)


@pytest.mark.parametrize("form", TRAVERSALS)
def test_cve_2026_54917_one_bucket_is_no_way_into_another(world: World, bucket: str, form: str) -> None:
    """What begins with one's own bucket stays in it: what was authorised is what is read, written and deleted."""
    own = world.make_bucket(world.bob)
    target = form.format(own=own, victim=bucket)
    before = world.bucket_state(bucket)
    for method in ("GET", "HEAD", "PUT", "DELETE", "GET"):
        reply = world.send(Request(method, target, body=b"bob's" if method == "PUT" else b""), world.bob)
        assert b"alice" not in reply.body
        assert reply.status in {200, 204, 400, 404}
    assert world.bucket_state(bucket) == before


@pytest.mark.parametrize(
    "form", ["//{victim}/key", "/./{victim}/key", "/../{victim}/key", "/%2e%2e/{victim}/key", "/x/../{victim}/key"]
)
def test_what_names_no_bucket_finds_none(world: World, bucket: str, form: str) -> None:
    """Dots and empty segments before a bucket are a bucket's name that cannot be, for its owner too."""
    for keys in (world.alice, world.bob):
        assert world.send(Request("GET", form.format(victim=bucket)), keys).status in {400, 404}


@pytest.mark.parametrize(
    "name",
    [
        "..",
        ".",
        "%2e%2e",
        "%2E",
        "..%2f..",
        "a%2fb",
        "a%00b",
        "-",
        "s3",
        "A-Bucket",
        "a" * 64,
        "192.168.0.1",
        "%ff",
        "é",
        "aa",
    ],
)
def test_a_bucket_has_a_bucket_s_name(world: World, name: str) -> None:
    """A name that could be a path, an address or another door is no bucket's."""
    names = world.buckets()
    raw = name.encode().decode("latin-1")
    for prefix in ("/", "/s3/"):
        reply = world.send(Request("PUT", prefix + raw), world.alice)
        assert reply.status in {400, 403, 405}
    assert world.buckets() == names


@pytest.mark.parametrize("raw", ["%00", "a%00", "%00a", "a%00/b"])
def test_a_key_has_no_nul(world: World, bucket: str, raw: str) -> None:
    """U+0000 is refused wherever a key or prefix can be given, not cut off at."""
    for method in ("GET", "PUT", "DELETE", "HEAD"):
        assert world.send(Request(method, f"/{bucket}/key{raw}"), world.alice).status == 400
    for query in (f"prefix={raw}", f"marker={raw}", f"list-type=2&start-after={raw}", f"delimiter={raw}"):
        assert world.send(Request("GET", f"/{bucket}", query), world.alice).status == 400
    assert world.get(world.alice, bucket, "key").body == b"alice's"


def test_keys_have_1024_bytes_at_most(world: World, bucket: str) -> None:
    """The limit counts bytes of UTF-8 after decoding, in every place that a key can come from."""
    for longest, too_long in (("x" * 1024, "x" * 1025), ("é" * 512, "é" * 512 + "x"), ("😀" * 256, "😀" * 257)):
        world.put(world.alice, bucket, longest, b"long")
        for method in ("PUT", "GET", "DELETE"):
            reply = world.send(Request(method, path(bucket, too_long)), world.alice)
            assert (reply.status, reply.code) == (400, "KeyTooLongError")
        copy = Request("PUT", f"/{bucket}/copy").with_headers(x_amz_copy_source=f"{bucket}/{quote(too_long)}")
        assert world.send(copy, world.alice).status == 400
        document = f"<Delete><Object><Key>{too_long}</Key></Object></Delete>".encode()
        assert world.send(Request("POST", f"/{bucket}", "delete", body=document), world.alice).status in {200, 400}
        assert world.get(world.alice, bucket, longest).body == b"long"


@pytest.mark.parametrize("raw", ["%", "%a", "%zz", "%2", "%u0041", "%ff", "%c3", "%c0%af", "%ed%a0%80", "%f4%90%80%80"])
def test_a_malformed_key_is_refused(world: World, bucket: str, raw: str) -> None:
    """A broken escape, or bytes that are no UTF-8, are no key: nothing is repaired, so that no two readers differ."""
    for method in ("GET", "PUT", "DELETE"):
        reply = world.send(Request(method, f"/{bucket}/{raw}"), world.alice)
        assert (reply.status, reply.code) == (400, "InvalidURI")
    assert world.send(Request("GET", f"/{bucket}", f"prefix={raw}"), world.alice).status == 400


def test_a_prefix_is_no_folder(world: World) -> None:
    """CVE-2026-26187: a listing of "data" shows what begins so, and one of "data/" not what is beside it."""
    bucket = world.make_bucket(world.alice)
    for key in ("data", "data/a", "data2/b", "dat"):
        world.put(world.alice, bucket, key, b"")
    for prefix, expected in (
        ("data/", ["data/a"]),
        ("data", ["data", "data/a", "data2/b"]),
        ("data/..", []),
        ("../", []),
        ("./data", []),
    ):
        reply = world.send(Request("GET", f"/{bucket}", f"prefix={quote(prefix)}"), world.alice)
        assert reply.texts("Key") == expected


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_absolute_target_is_for_its_own_host(world: World, bucket: str, scheme: str) -> None:
    """A target with a host in it has to name the Host that was signed; no proxy is made of the server."""
    request = world.hosted(Request("GET", f"{scheme}://evil.example/{bucket}/key"))
    assert world.send(request).status == 400
    assert world.send(world.hosted(Request("CONNECT", "evil.example:443"))).status == 400
    assert world.send(world.hosted(Request("OPTIONS", "*"))).status in {400, 403}
