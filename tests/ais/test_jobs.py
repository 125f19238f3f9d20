"""Jobs over the native API: those of AIStore's SDK that work on many objects, and how they are watched and stopped."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from aistore.sdk import Bucket, Client
from aistore.sdk.errors import AISError, ErrBckNotFound, JobInfoNotFound
from aistore.sdk.job import Job
from aistore.sdk.wait_result import WaitResult

from tests.ais.conftest import MakeBucket, connect, disconnect, new_name
from tidegate.testing import ServerProcess, serve

# For what comes soon or never.
PATIENCE_SECONDS = 30.0
# The SDK looks at a job every eighth of this, and gives up after it: not for a job that may be slow.
WAIT_SECONDS = 1
KINDS_NOT_DONE = ("rebalance", "resilver", "dsort", "download", "ec-encode", "rechunk", "load-lom-cache", "nonsense")


def put(bucket: Bucket, *names: str) -> dict[str, bytes]:
    """Objects whose bytes tell their names."""
    contents = {name: f"content of {name}".encode() * 3 for name in names}
    for name, content in contents.items():
        bucket.object(name).get_writer().put_content(content)
    return contents


def contents(bucket: Bucket) -> dict[str, bytes]:
    """All objects with their bytes."""
    return {
        entry.name: bucket.object(entry.name).get_reader().read_all() for entry in bucket.list_all_objects(props="name")
    }


def is_gone(bucket: Bucket) -> bool:
    """Whether there is no such bucket."""
    with pytest.raises(AISError) as caught:
        bucket.head()
    return caught.value.status_code == 404


def finish(job: Job) -> WaitResult:
    """Waits for a job as the SDK does, once it has ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while job.status().end_time == 0:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return job.wait(timeout=WAIT_SECONDS, verbose=False)


@pytest.fixture
def wait(client: Client) -> Callable[[str], WaitResult]:
    """Waits for a job by its id."""

    def wait(job_id: str) -> WaitResult:
        assert job_id
        return finish(client.job(job_id))

    return wait


Wait = Callable[[str], WaitResult]


# --- copying and renaming --------------------------------------------------------------------------------------------


def test_bucket_is_copied(bucket: Bucket, make_bucket: MakeBucket, wait: Wait) -> None:
    """A copy has every object with its bytes and custom properties, and the source keeps its own."""
    expected = put(bucket, "a", "b/c", "ä")
    bucket.object("a").get_writer().set_custom_props({"color": "blue"})
    other = make_bucket()
    assert wait(bucket.copy(other))
    assert contents(other) == contents(bucket) == expected
    assert other.object("a").props.custom_metadata["color"] == "blue"


def test_bucket_that_is_not_there_is_made_by_a_copy(bucket: Bucket, client: Client, wait: Wait) -> None:
    """The destination begins with the source's properties."""
    put(bucket, "a")
    bucket.client.request(
        "patch",
        path=f"buckets/{bucket.name}",
        params=bucket.qparam,
        json={"action": "set-bprops", "value": {"checksum": {"type": "md5"}}},
    )
    other = client.bucket(new_name())
    assert wait(bucket.copy(other))
    assert json.loads(other.head()["Ais-Bucket-Props"])["checksum"]["type"] == "md5"
    assert list(contents(other)) == ["a"]


def test_copy_can_select_and_rename(bucket: Bucket, make_bucket: MakeBucket, wait: Wait) -> None:
    """A prefix selects; an extension is replaced where it is the last; what is prepended comes first."""
    put(bucket, "x/1.jpg", "x/jpg", "x/2.jpg.png", "y/3.jpg")
    other = make_bucket()
    assert wait(bucket.copy(other, prefix_filter="x/", prepend="new-", ext={"jpg": "txt"}))
    assert set(contents(other)) == {"new-x/1.txt", "new-x/jpg", "new-x/2.jpg.png"}


def test_dry_run_copies_nothing_and_counts(bucket: Bucket, client: Client, wait: Wait) -> None:
    """It tells what a copy would be, and makes not even the bucket."""
    put(bucket, "a", "b")
    other = client.bucket(new_name())
    job = bucket.copy(other, dry_run=True)
    assert wait(job)
    (snapshot,) = client.job(job).get_details().list_snapshots()
    assert snapshot.stats is not None
    assert snapshot.stats.objects == 2
    assert is_gone(other)


def test_copy_replaces_what_is_there(bucket: Bucket, make_bucket: MakeBucket, wait: Wait) -> None:
    """An object of the same name is overwritten, others stay."""
    put(bucket, "a")
    other = make_bucket()
    other.object("a").get_writer().put_content(b"older")
    other.object("b").get_writer().put_content(b"kept")
    assert wait(bucket.copy(other))
    assert contents(other) == {**contents(bucket), "b": b"kept"}


def test_bucket_is_not_copied_onto_itself(bucket: Bucket) -> None:
    """That would do nothing, or never end."""
    with pytest.raises(AISError, match="onto itself"):
        bucket.copy(bucket)


def test_bucket_that_is_not_there_cannot_be_copied(client: Client, make_bucket: MakeBucket) -> None:
    """The error names the bucket, as the SDK needs it."""
    with pytest.raises(ErrBckNotFound):
        client.bucket(new_name()).copy(make_bucket())


def test_renaming_is_over_at_once(bucket: Bucket, client: Client) -> None:
    """A rename answers with a job that has ended, and the objects are where the new name is."""
    expected = put(bucket, "a", "b")
    old, new = bucket.name, new_name()
    job = client.job(bucket.rename(new))
    assert job.status().end_time > 0
    assert finish(job)
    assert contents(client.bucket(new)) == expected
    assert is_gone(client.bucket(old))


# --- groups of objects -----------------------------------------------------------------------------------------------


def test_group_is_copied(bucket: Bucket, make_bucket: MakeBucket, wait: Wait) -> None:
    """Of a template the names that are there are copied."""
    put(bucket, "o-01", "o-03", "o-04", "p-01")
    other = make_bucket()
    (job,) = bucket.objects(obj_template="o-{00..10..1}").copy(other, prepend="c/")
    assert wait(job)
    assert set(contents(other)) == {"c/o-01", "c/o-03", "c/o-04"}


def test_template_without_braces_is_a_prefix(bucket: Bucket, make_bucket: MakeBucket, wait: Wait) -> None:
    """As in AIStore."""
    put(bucket, "o-1", "o-2", "p-1")
    other = make_bucket()
    (job,) = bucket.objects(obj_template="o-").copy(other)
    assert wait(job)
    assert set(contents(other)) == {"o-1", "o-2"}


def test_copies_beside_the_originals_are_not_copied_again(bucket: Bucket, wait: Wait) -> None:
    """A bucket's prefix copied within the bucket ends, though each copy has the prefix too."""
    put(bucket, "a1", "a2")
    (job,) = bucket.objects(obj_template="a").copy(bucket, prepend="a/")
    assert wait(job)
    assert set(contents(bucket)) == {"a1", "a2", "a/a1", "a/a2"}


def test_name_that_is_not_there_ends_a_copy(bucket: Bucket, client: Client, make_bucket: MakeBucket) -> None:
    """The job fails and says which object it was; what came before it stays copied."""
    put(bucket, "a", "c")
    other = make_bucket()
    (job,) = bucket.objects(obj_names=["a", "missing", "c"]).copy(other)
    result = finish(client.job(job))
    assert not result
    assert f"ais://{bucket.name}/missing" in (result.error or "")
    assert set(contents(other)) == {"a"}


def test_copy_goes_on_over_errors_if_it_shall(bucket: Bucket, client: Client, make_bucket: MakeBucket) -> None:
    """The rest is copied, and the status tells of what was not."""
    put(bucket, "a", "c")
    other = make_bucket()
    (job,) = bucket.objects(obj_names=["a", "missing", "c"]).copy(other, continue_on_error=True)
    finish(client.job(job))
    assert set(contents(other)) == {"a", "c"}
    status = client.job(job).status()
    assert "1 of the objects failed" in status.err
    assert not status.aborted


def test_group_is_deleted(bucket: Bucket, wait: Wait) -> None:
    """Names, ranges and prefixes delete what they select, and what is not there is no error."""
    put(bucket, "a", "b", "n-1", "n-2", "n-3", "p/1", "p/2", "rest")
    assert wait(bucket.objects(obj_names=["a", "b", "missing"]).delete())
    assert wait(bucket.objects(obj_template="n-{1..2}").delete())
    assert wait(bucket.objects(obj_template="p/").delete())
    assert set(contents(bucket)) == {"n-3", "rest"}


def test_group_of_our_own_has_nothing_to_evict(bucket: Bucket, http: requests.Session, server: ServerProcess) -> None:
    """Eviction and prefetching are for what somebody else keeps; what is only here is never dropped."""
    put(bucket, "a")
    for method, action in (("DELETE", "evict-listrange"), ("POST", "prefetch-listrange")):
        answer = http.request(
            method,
            f"{server.url}/v1/buckets/{bucket.name}?provider=ais",
            json={"action": action, "value": {"objnames": ["a"]}},
        )
        assert answer.status_code == 400, answer.text
        assert "nothing to" in answer.json()["message"]
    assert set(contents(bucket)) == {"a"}


def test_what_another_provider_keeps_is_not_implemented(
    client: Client, http: requests.Session, server: ServerProcess
) -> None:
    """Jobs on a bucket of a cloud are refused in so many words."""
    name = new_name()
    http.post(f"{server.url}/v1/buckets/{name}?provider=aws", json={"action": "create-bck"}).raise_for_status()
    cloud = client.bucket(name, provider="aws")
    group = cloud.objects(obj_names=["a"])
    for act in (group.evict, group.prefetch, group.delete):
        with pytest.raises(AISError) as caught:
            act()
        assert caught.value.status_code == 501


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"objnames": []},
        {"objnames": ["a"], "template": "b"},
        {"objnames": [""]},
        {"objnames": ["x" * 1025]},
        {"template": "a-{5..1}"},
        {"template": "a-{1..2"},
        {"template": "a-{1..2..0}"},
        {"template": "a-{0..99999999999}"},
        {"template": "{0..999}" * 11},
        {"objnames": "a"},
        "text",
        None,
    ],
)
def test_bad_selections_are_refused(bucket: Bucket, http: requests.Session, server: ServerProcess, value: Any) -> None:
    """They are an error of the client's, and nothing is deleted."""
    put(bucket, "a")
    answer = http.delete(
        f"{server.url}/v1/buckets/{bucket.name}?provider=ais", json={"action": "delete-listrange", "value": value}
    )
    assert answer.status_code == 400, answer.text
    assert set(contents(bucket)) == {"a"}


# --- archives --------------------------------------------------------------------------------------------------------


def members(name: str, data: bytes) -> dict[str, bytes]:
    """What is in an archive, as Python's own readers see it."""
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
            return {each: archive.read(each) for each in archive.namelist()}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {each.name: tar.extractfile(each).read() for each in tar if each.isreg()}  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["shard.tar", "shard.tgz", "shard.tar.gz", "shard.zip"])
def test_group_is_archived_and_added_to(bucket: Bucket, make_bucket: MakeBucket, wait: Wait, name: str) -> None:
    """An archive in another bucket has the objects under their names, and grows if it may."""
    expected = put(bucket, "a/1", "a/2", "ü" * 80)
    bucket.object("a/big").get_writer().put_content(big := bytes(range(256)) * 2000)
    other = make_bucket()
    (job,) = bucket.objects(obj_names=["a/1", "a/2", "ü" * 80]).archive(name, to_bck=other)
    assert wait(job)
    assert members(name, other.object(name).get_reader().read_all()) == expected
    for _ in range(2):
        (job,) = bucket.objects(obj_template="a/big").archive(name, to_bck=other, allow_append=True)
        assert wait(job)
    assert members(name, other.object(name).get_reader().read_all()) == {**expected, "a/big": big}
    (job,) = bucket.objects(obj_names=["a/1"]).archive(name, to_bck=other)
    assert wait(job)
    assert members(name, other.object(name).get_reader().read_all()) == {"a/1": expected["a/1"]}


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
    expected = put(bucket, "new")
    (job,) = bucket.objects(obj_names=["new"]).archive(name, allow_append=True)
    assert wait(job)
    assert members(name, bucket.object(name).get_reader().read_all()) == {long: b"long", **expected}


def test_members_can_have_the_name_of_their_bucket(bucket: Bucket, wait: Wait) -> None:
    """And an archive in the bucket that it is made of does not hold itself."""
    expected = put(bucket, "a/1", "a/2")
    for _ in range(2):
        (job,) = bucket.objects(obj_template="a/").archive("a/all", mime="application/x-tar", include_source_name=True)
        assert wait(job)
    data = bucket.object("a/all").get_reader().read_all()
    assert members("all.tar", data) == {f"{bucket.name}/{name}": content for name, content in expected.items()}


def test_archive_needs_all_of_its_members_unless_told_otherwise(bucket: Bucket, client: Client) -> None:
    """Where one is missing there is no archive, and nothing is left of the attempt; or there is one of the others."""
    put(bucket, "a", "b")
    group = bucket.objects(obj_names=["a", "missing", "b"])
    (job,) = group.archive("x.tar")
    assert not finish(client.job(job))
    assert set(contents(bucket)) == {"a", "b"}
    (job,) = group.archive("x.tar", continue_on_err=True)
    finish(client.job(job))
    assert set(members("x.tar", bucket.object("x.tar").get_reader().read_all())) == {"a", "b"}


@pytest.mark.parametrize(
    ("name", "mime", "status"), [("x.tar.lz4", "", 501), ("x", "", 400), ("x.tar", "text/plain", 501)]
)
def test_other_formats_are_refused(bucket: Bucket, name: str, mime: str, status: int) -> None:
    """What no archive of ours is called so is an error, not some other format."""
    put(bucket, "a")
    with pytest.raises(AISError) as caught:
        bucket.objects(obj_names=["a"]).archive(name, mime=mime)
    assert caught.value.status_code == status


@pytest.mark.parametrize("name", ["no.tar", "no.tgz", "no.zip"])
def test_what_is_no_archive_is_not_added_to(bucket: Bucket, client: Client, name: str) -> None:
    """The object stays as it is, and the job says why."""
    put(bucket, "a")
    for data in (b"something else" * 100, gzip.compress(b"x" * 600)[:-9]):
        bucket.object(name).get_writer().put_content(data)
        (job,) = bucket.objects(obj_names=["a"]).archive(name, allow_append=True)
        result = finish(client.job(job))
        assert not result
        assert "cannot add to" in (result.error or "")
        assert bucket.object(name).get_reader().read_all() == data


# --- jobs themselves -------------------------------------------------------------------------------------------------


def test_jobs_are_listed_with_what_they_did(
    bucket: Bucket, client: Client, make_bucket: MakeBucket, wait: Wait
) -> None:
    """Status, progress, the time that it took, and a place among all jobs."""
    begun = datetime.now(UTC) - timedelta(seconds=1)
    expected = put(bucket, "a", "b")
    other = make_bucket()
    job = client.job(bucket.copy(other), "copy-bck")
    assert wait(job.job_id)
    status = job.status()
    assert (status.uuid, status.err, status.aborted) == (job.job_id, "", False)
    assert status.end_time > 0
    (snapshot,) = job.get_details().list_snapshots()
    assert snapshot.kind == "copy-bck"
    assert snapshot.stats is not None
    assert (snapshot.stats.objects, snapshot.stats.bytes) == (2, sum(map(len, expected.values())))
    assert snapshot.source_bck is not None
    assert snapshot.destination_bck is not None
    assert (snapshot.source_bck.name, snapshot.destination_bck.name) == (bucket.name, other.name)
    total = job.get_total_time()
    assert total is not None
    assert total >= timedelta(0)
    assert job.job_id in [each.id for each in job.get_within_timeframe(begun, datetime.now(UTC))]
    with pytest.raises(JobInfoNotFound):
        job.get_within_timeframe(datetime.now(UTC) + timedelta(hours=1))
    assert job.job_id in [each.uuid for each in client.cluster().list_jobs_status("copy-bck")]
    assert job.job_id not in [each.uuid for each in client.cluster().list_jobs_status("archive")]
    assert job.job_id not in str(client.cluster().list_running_jobs())


def test_kinds_that_need_no_more_are_started_by_name(client: Client) -> None:
    """As the SDK's own examples do: evicting what is least used, and cleaning up."""
    for kind in ("lru", "cleanup-store"):
        job = client.job(client.job(job_kind=kind).start())
        assert finish(job)
        assert job.wait_for_idle(timeout=WAIT_SECONDS, verbose=False)
        assert job.wait_single_node(timeout=WAIT_SECONDS, verbose=False)
        assert job.status().end_time > 0


@pytest.mark.parametrize("kind", KINDS_NOT_DONE)
def test_kinds_that_we_do_not_do_say_so(client: Client, kind: str) -> None:
    """501 with a sentence, never a job that does nothing."""
    with pytest.raises(AISError, match=r"not implemented|no cache") as caught:
        client.job(job_kind=kind).start()
    assert caught.value.status_code == 501


def test_job_that_is_not_there(client: Client) -> None:
    """It has no status and cannot be stopped; nobody waits for it forever."""
    job = client.job("nosuchjob")
    for ask in (job.status, job.abort):
        with pytest.raises(AISError) as caught:
            ask()
        assert caught.value.status_code == 404
    with pytest.raises(JobInfoNotFound):
        job.wait(timeout=WAIT_SECONDS)


def test_job_that_has_ended_is_not_stopped(bucket: Bucket, client: Client, make_bucket: MakeBucket, wait: Wait) -> None:
    """What is done stays done."""
    job = bucket.copy(make_bucket())
    assert wait(job)
    client.job(job).abort()
    assert not client.job(job).status().aborted


# --- promotion -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def promoting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Path]]:
    """A server that promotes files of a folder, and the folder."""
    folder = tmp_path_factory.mktemp("promotion") / "open"
    folder.mkdir()
    with serve(repos_port=None, promote_from=[folder]) as server:
        client = connect(server.url)
        yield client, folder
        disconnect(client)


@pytest.fixture
def tree(promoting: tuple[Client, Path], tmp_path: Path) -> Path:
    """Files in the open folder, of our own: some of them lead out of it."""
    root = promoting[1] / new_name()
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "a.txt").write_bytes(b"a")
    (root / "sub" / "b.txt").write_bytes(b"b" * 100_000)
    (root / "sub" / "deep" / "c.txt").write_bytes(b"c")
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (root / "link").symlink_to(secret)
    (root / "up").symlink_to(tmp_path)
    return root


def promoted(promoting: tuple[Client, Path], path: Path | str, name: str = "", **options: Any) -> tuple[Bucket, Job]:
    """Promotes to a bucket of its own, and waits."""
    bucket = promoting[0].bucket(new_name()).create(exist_ok=True)
    job = promoting[0].job(bucket.object(name).promote(str(path), **options))
    finish(job)
    return bucket, job


def test_folder_is_promoted(promoting: tuple[Client, Path], tree: Path) -> None:
    """Its files become objects, those of folders below it only if asked for; links are passed over."""
    bucket, _ = promoted(promoting, tree)
    assert contents(bucket) == {"a.txt": b"a"}
    bucket, job = promoted(promoting, tree, "new", recursive=True)
    assert contents(bucket) == {"new/a.txt": b"a", "new/sub/b.txt": b"b" * 100_000, "new/sub/deep/c.txt": b"c"}
    assert job.status().err == ""
    assert (tree / "a.txt").exists()


def test_file_is_promoted(promoting: tuple[Client, Path], tree: Path) -> None:
    """Under its own name, or another."""
    for name, expected in (("", "b.txt"), ("x/", "x/b.txt"), ("y", "y")):
        bucket, _ = promoted(promoting, tree / "sub" / "b.txt", name)
        assert contents(bucket) == {expected: b"b" * 100_000}


def test_promotion_overwrites_and_deletes_only_if_told(promoting: tuple[Client, Path], tree: Path) -> None:
    """What is there stays, with its file, unless it shall be overwritten; files go once they are objects."""
    bucket, _ = promoted(promoting, tree)
    (tree / "a.txt").write_bytes(b"newer")
    job = promoting[0].job(bucket.object("").promote(str(tree), delete_source=True))
    finish(job)
    assert contents(bucket) == {"a.txt": b"a"}
    assert (tree / "a.txt").exists()
    job = promoting[0].job(bucket.object("").promote(str(tree), delete_source=True, overwrite_dest=True))
    finish(job)
    assert contents(bucket) == {"a.txt": b"newer"}
    assert not (tree / "a.txt").exists()
    assert (tree / "sub" / "b.txt").exists()


def test_nothing_outside_of_the_open_folder_is_promoted(promoting: tuple[Client, Path], tree: Path) -> None:
    """Neither by its path, nor by dots, nor by any link on the way."""
    bucket = promoting[0].bucket(new_name()).create()
    for path in (
        "/etc/passwd",
        tree / "link",
        tree / "up" / "secret",
        f"{tree}/../../../etc/passwd",
        f"{promoting[1]}-other/x",
        "relative",
        "",
        tree / "none",
        "/",
    ):
        with pytest.raises(AISError) as caught:
            bucket.object("x").promote(str(path))
        assert caught.value.status_code in (400, 403)
    assert contents(bucket) == {}


def test_without_the_setting_nothing_is_promoted(bucket: Bucket, tmp_path: Path) -> None:
    """No folder is open by default."""
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(AISError, match="promote-from") as caught:
        bucket.object("x").promote(str(tmp_path / "file"))
    assert caught.value.status_code == 403
