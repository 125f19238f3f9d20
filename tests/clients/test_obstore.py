"""obstore (the object_store crate) with its defaults, against a server that checks every request."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import io
from typing import Any

import obstore
import pytest
import urllib3
from obstore.exceptions import AlreadyExistsError, PermissionDeniedError, PreconditionError, UnauthenticatedError
from obstore.store import S3Store

from tests.clients.conftest import MIB
from tests.clients.programs import REGION
from tidegate.testing import ServerProcess


def connect(server: ServerProcess, bucket: str, **options: Any) -> S3Store:
    """A bucket of a server, by plain HTTP."""
    return S3Store(
        bucket, endpoint=server.url, region=REGION, virtual_hosted_style_request=False,
        client_options={"allow_http": True}, **options,
    )  # fmt: skip


@pytest.fixture
def store(server: ServerProcess, bucket: str) -> S3Store:
    """An empty bucket, with the administrator's keys."""
    return connect(server, bucket, access_key_id=server.access_key, secret_access_key=server.secret_key)


def read(store: S3Store, path: str, **options: Any) -> bytes:
    """The bytes of an object."""
    return bytes(obstore.get(store, path, **options).bytes())


def test_objects(store: S3Store) -> None:
    """Objects are put, described, read in whole and in ranges, copied, renamed and deleted."""
    put = obstore.put(store, "dir/a b+ü", b"0123456789", attributes={"Content-Type": "text/plain", "a": "1"})
    assert put["e_tag"] == f'"{hashlib.md5(b"0123456789").hexdigest()}"'
    head = obstore.head(store, "dir/a b+ü")
    assert (head["size"], head["e_tag"]) == (10, put["e_tag"])
    got = obstore.get(store, "dir/a b+ü")
    assert dict(got.attributes) == {"Content-Type": "text/plain", "a": "1"}
    assert bytes(got.bytes()) == b"0123456789"
    assert bytes(obstore.get_range(store, "dir/a b+ü", start=2, length=3)) == b"234"
    pieces = obstore.get_ranges(store, "dir/a b+ü", starts=[0, 8], lengths=[2, 2])
    assert [bytes(piece) for piece in pieces] == [b"01", b"89"]
    obstore.copy(store, "dir/a b+ü", "copy")
    obstore.rename(store, "copy", "dir/renamed")
    assert read(store, "dir/renamed") == b"0123456789"
    obstore.delete(store, ["dir/a b+ü", "dir/renamed", "missing"])
    assert obstore.list(store).collect() == []
    with pytest.raises(FileNotFoundError):
        obstore.get(store, "dir/renamed")


def test_listing(store: S3Store) -> None:
    """All objects are listed, in pieces, from a prefix or offset on, and by folder."""
    names = [f"a/{number:02}" for number in range(25)] + ["b/c/d", "top"]
    for name in names:
        obstore.put(store, name, name.encode())
    assert [each["path"] for page in obstore.list(store, chunk_size=10) for each in page] == names
    assert [each["path"] for each in obstore.list(store, "a", offset="a/22").collect()] == ["a/23", "a/24"]
    folders = obstore.list_with_delimiter(store)
    assert list(folders["common_prefixes"]) == ["a", "b"]
    assert [each["path"] for each in folders["objects"]] == ["top"]


def test_large_objects(store: S3Store, large_bytes: bytes) -> None:
    """Large bodies and streams go in parts, and come back as streams."""
    data = large_bytes[: 12 * MIB]
    obstore.put(store, "file", io.BytesIO(data), use_multipart=True, chunk_size=5 * MIB)
    obstore.put(store, "stream", (data[start : start + MIB] for start in range(0, len(data), MIB)))
    assert b"".join(bytes(piece) for piece in obstore.get(store, "file").stream(min_chunk_size=MIB)) == data
    assert read(store, "stream") == data
    with obstore.open_writer(store, "written", buffer_size=5 * MIB) as writer:
        writer.write(data)
    reader = obstore.open_reader(store, "written")
    reader.seek(-5, io.SEEK_END)
    assert bytes(reader.read()) == data[-5:]


def test_conditional_writes(store: S3Store) -> None:
    """Mode create never replaces; an update succeeds only on the version it is based on."""
    first = obstore.put(store, "object", b"first", mode="create")
    with pytest.raises(AlreadyExistsError):
        obstore.put(store, "object", b"second", mode="create")
    second = obstore.put(store, "object", b"second", mode={"e_tag": first["e_tag"]})
    with pytest.raises(PreconditionError):
        obstore.put(store, "object", b"third", mode={"e_tag": first["e_tag"]})
    assert read(store, "object", options={"if_match": second["e_tag"]}) == b"second"
    with pytest.raises(PreconditionError):
        obstore.get(store, "object", options={"if_match": first["e_tag"]})


def test_versions(store: S3Store, s3: Any, bucket: str) -> None:
    """An old version is read by its id."""
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = obstore.put(store, "object", b"old")
    obstore.put(store, "object", b"new")
    assert read(store, "object", options={"version": old["version"]}) == b"old"
    assert read(store, "object") == b"new"


def test_signed_urls(store: S3Store) -> None:
    """Signed URLs write and read."""
    with urllib3.PoolManager(retries=False) as pool:
        minute = dt.timedelta(minutes=1)
        assert pool.request("PUT", obstore.sign(store, "PUT", "a b+ü", minute), body=b"data").status == 200
        assert pool.request("GET", obstore.sign(store, "GET", "a b+ü", minute)).data == b"data"


def test_many_at_once(store: S3Store) -> None:
    """Concurrent puts, gets and deletes over one client do not disturb each other."""

    async def story() -> list[bytes]:
        names = [f"object {number}" for number in range(50)]
        await asyncio.gather(*(obstore.put_async(store, name, name.encode() * 1000) for name in names))
        answers = await asyncio.gather(*(obstore.get_async(store, name) for name in names))
        data = [bytes(await answer.bytes_async()) for answer in answers]
        await obstore.delete_async(store, names)
        return data

    assert asyncio.run(story()) == [f"object {number}".encode() * 1000 for number in range(50)]
    assert obstore.list(store).collect() == []


def test_without_keys(open_server: ServerProcess, server: ServerProcess, bucket: str) -> None:
    """A store that skips signatures works where authentication is off, and is refused where it is on."""
    with urllib3.PoolManager(retries=False) as pool:
        assert pool.request("PUT", f"{open_server.url}/obstore-anonymous").status == 200
    store = connect(open_server, "obstore-anonymous", skip_signature=True)
    obstore.put(store, "object", b"data")
    assert read(store, "object") == b"data"
    with pytest.raises((PermissionDeniedError, UnauthenticatedError)):
        obstore.put(connect(server, bucket, skip_signature=True), "object", b"data")
