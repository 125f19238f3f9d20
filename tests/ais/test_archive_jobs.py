"""Archives that jobs make of many objects, or add them to, over the native API."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile

import pytest
from aistore.sdk import Bucket, Client
from aistore.sdk.errors import AISError

from tests.ais.conftest import MakeBucket, Wait
from tests.ais.helpers import contents, fill, finish
from tests.archives import archive, unpacked


@pytest.mark.parametrize("name", ["shard.tar", "shard.tgz", "shard.tar.gz", "shard.zip"])
def test_group_is_archived_and_added_to(bucket: Bucket, make_bucket: MakeBucket, wait: Wait, name: str) -> None:
    """An archive in another bucket has the objects under their names, and grows if it may."""
    expected = fill(bucket, "a/1", "a/2", "ü" * 80)
    bucket.object("a/big").get_writer().put_content(big := bytes(range(256)) * 2000)
    other = make_bucket()
    (job,) = bucket.objects(obj_names=["a/1", "a/2", "ü" * 80]).archive(name, to_bck=other)
    assert wait(job)
    assert dict(unpacked(name, other.object(name).get_reader().read_all())) == expected
    for _ in range(2):
        (job,) = bucket.objects(obj_template="a/big").archive(name, to_bck=other, allow_append=True)
        assert wait(job)
    assert dict(unpacked(name, other.object(name).get_reader().read_all())) == {**expected, "a/big": big}
    (job,) = bucket.objects(obj_names=["a/1"]).archive(name, to_bck=other)
    assert wait(job)
    assert dict(unpacked(name, other.object(name).get_reader().read_all())) == {"a/1": expected["a/1"]}


@pytest.mark.parametrize("name", ["mine.tar", "mine.tgz", "mine.zip"])
def test_archive_that_others_made_is_added_to(bucket: Bucket, wait: Wait, name: str) -> None:
    """Formats as Python writes them: long names, directories, links, and members of some size."""
    data = io.BytesIO()
    long = "folder/" * 30 + "file"
    if name.endswith(".zip"):
        with zipfile.ZipFile(data, "w") as archive:
            archive.writestr(long, b"long")
            archive.comment = b"a comment"
    else:
        with tarfile.open(
            fileobj=data, mode="w:gz" if name.endswith(".tgz") else "w", format=tarfile.PAX_FORMAT
        ) as tar:
            folder = tarfile.TarInfo("folder")
            folder.type = tarfile.DIRTYPE
            tar.addfile(folder)
            link = tarfile.TarInfo("link")
            link.type, link.linkname = tarfile.SYMTYPE, "folder"
            tar.addfile(link)
            file = tarfile.TarInfo(long)
            file.size = 4
            tar.addfile(file, io.BytesIO(b"long"))
    bucket.object(name).get_writer().put_content(data.getvalue())
    expected = fill(bucket, "new")
    (job,) = bucket.objects(obj_names=["new"]).archive(name, allow_append=True)
    assert wait(job)
    assert dict(unpacked(name, bucket.object(name).get_reader().read_all())) == {long: b"long", **expected}


def test_members_can_have_the_name_of_their_bucket(bucket: Bucket, wait: Wait) -> None:
    """And an archive in the bucket that it is made of does not hold itself."""
    expected = fill(bucket, "a/1", "a/2")
    for _ in range(2):
        (job,) = bucket.objects(obj_template="a/").archive("a/all", mime="application/x-tar", include_source_name=True)
        assert wait(job)
    data = bucket.object("a/all").get_reader().read_all()
    assert dict(unpacked("all.tar", data)) == {f"{bucket.name}/{name}": content for name, content in expected.items()}


def test_archive_needs_all_of_its_members_unless_told_otherwise(bucket: Bucket, client: Client) -> None:
    """Where one is missing there is no archive, and nothing is left of the attempt; or there is one of the others."""
    fill(bucket, "a", "b")
    group = bucket.objects(obj_names=["a", "missing", "b"])
    (job,) = group.archive("x.tar")
    assert not finish(client.job(job))
    assert set(contents(bucket)) == {"a", "b"}
    (job,) = group.archive("x.tar", continue_on_err=True)
    finish(client.job(job))
    assert set(dict(unpacked("x.tar", bucket.object("x.tar").get_reader().read_all()))) == {"a", "b"}


@pytest.mark.parametrize(
    ("name", "mime", "status"), [("x.tar.lz4", "", 501), ("x", "", 400), ("x.tar", "text/plain", 501)]
)
def test_other_formats_are_refused(bucket: Bucket, name: str, mime: str, status: int) -> None:
    """What no archive of ours is called so is an error, not some other format."""
    fill(bucket, "a")
    with pytest.raises(AISError) as caught:
        bucket.objects(obj_names=["a"]).archive(name, mime=mime)
    assert caught.value.status_code == status


@pytest.mark.parametrize("name", ["no.tar", "no.tgz", "no.zip"])
def test_what_is_no_archive_is_not_added_to(bucket: Bucket, client: Client, name: str) -> None:
    """The object stays as it is, and the job says why."""
    fill(bucket, "a")
    cut_off = archive("tar", {"a": b"x"})[:1024]
    for data in (b"something else" * 100, gzip.compress(b"x" * 600)[:-9], cut_off, gzip.compress(cut_off)):
        bucket.object(name).get_writer().put_content(data)
        (job,) = bucket.objects(obj_names=["a"]).archive(name, allow_append=True)
        result = finish(client.job(job))
        assert not result
        assert "cannot add to" in (result.error or "")
        assert bucket.object(name).get_reader().read_all() == data
