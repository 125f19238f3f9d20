"""Work that goes on by itself: copying and renaming buckets, removing many objects; watching, awaiting, stopping it."""

from __future__ import annotations

import re

import pytest

from tests.cli.ais.command import Ais

MONITOR = r"\. To monitor the progress, run 'ais show job (?P<id>\S+)'\n"


@pytest.fixture
def full(ais: Ais, bucket: str) -> str:
    """A bucket with objects a/0 to a/3, and b."""
    for name in ("a/0", "a/1", "a/2", "a/3", "b"):
        ais("put", "-", f"{bucket}/{name}", typed=name.encode())
    return bucket


def names(ais: Ais, uri: str) -> list[str]:
    """The names in a bucket."""
    return [each["name"] for each in ais("ls", uri, "--json").json]


def test_copying_a_bucket(ais: Ais, full: str) -> None:
    """The line says which job does it; awaiting it says that it is done; the job is remembered."""
    to = f"{full}-to"
    told = ais("bucket", "cp", full, to).output
    matched = re.fullmatch(rf"copy-bucket\[(?P<job>\S+)\] {full} => {to}{MONITOR}", told)
    assert matched is not None, told
    assert matched["job"] == matched["id"]
    assert ais("wait", matched["job"]).output == "Done.\n"
    assert names(ais, to) == names(ais, full)
    header, row = ais("show", "job", matched["job"]).rows
    assert header == ["NODE", "ID", "KIND", "BUCKET", "OBJECTS", "BYTES", "START", "END", "STATE"]
    assert row[1:3] == [matched["job"], "copy-bucket"]
    assert row[3:6] == [full, "=>", to]
    assert row[6:8] == ["5", "13B"]
    assert row[-1] == "Finished"
    assert matched["job"] in ais("show", "job", "--all").output
    assert matched["job"] in ais("show", "job", "copy-bucket").output
    assert ais("job", "show", matched["job"], "--json").json[0]["kind"] == "copy-bck"


def test_awaiting_at_once(ais: Ais, full: str) -> None:
    """--wait ends the line when the work has ended; prefixes are put before, and only some are taken."""
    to = f"{full}-to"
    told = ais("cp", full, to, "--wait", "--prefix", "a/", "--prepend", "new/").output
    assert re.fullmatch(rf"copy-bucket\[\S+\] {full} => {to} \.\.\. Done\.\n", told)
    assert names(ais, to) == [f"new/a/{number}" for number in range(4)]
    told = ais("cp", full, to, "--list", "a/0,b", "--timeout", "1m").output
    assert re.fullmatch(rf"copy-objects\[\S+\]: \[a/0 b\] {full} => {to} \.\.\. Done\.\n", told)
    ais("cp", full, to, "--template", "a/{2..3}", "--wait")
    assert {"a/0", "a/2", "a/3", "b"} <= set(names(ais, to))


def test_a_copy_that_only_looks(ais: Ais, full: str) -> None:
    """A dry run says so, and changes nothing."""
    to = f"{full}-to"
    ais("create", to)
    assert ais("cp", full, to, "--dry-run", "--wait").output.startswith(
        "[DRY RUN] with no modifications to the cluster\n"
    )
    assert names(ais, to) == []


def test_renaming_a_bucket(ais: Ais, full: str) -> None:
    """The bucket is there under its new name only."""
    to = f"{full}-to"
    told = ais("bucket", "mv", full, to, "--wait").output
    assert re.fullmatch(rf"rename-bucket\[\S+\] {full} => {to} \.\.\. Done\.\n", told)
    assert names(ais, to) == ["a/0", "a/1", "a/2", "a/3", "b"]
    assert ais.fails("ls", full) == f'bucket "{full}" does not exist'


def test_removing_many(ais: Ais, full: str) -> None:
    """By list, template, prefix, or all of them; whoever takes more than a list is asked."""
    told = ais("object", "rm", full, "--list", "a/0,b", "--wait").output
    assert re.fullmatch(rf"delete-objects\[\S+\]: \[a/0 b\] from {full} \.\.\. Done\.\n", told)
    assert "--yes" in ais.fails("rmo", full, "--template", "a/{1..2}")
    ais("rmo", full, "--template", "a/{1..2}", "--wait", "-y")
    assert names(ais, full) == ["a/3"]
    ais("rmo", full, "--prefix", "a/", "--wait", "-y")
    assert names(ais, full) == []
    ais("put", "-", f"{full}/x", typed=b"x")
    ais("rmo", full, "--all", "--wait", "-y")
    assert names(ais, full) == []


def test_jobs_that_are_started(ais: Ais, bucket: str) -> None:
    """A kind that needs no more is started by its name; what is not done here is said."""
    told = ais("start", "cleanup", "--wait").output
    assert re.fullmatch(r"Started cleanup\[\S+\] \.\.\. Done\.\n", told)
    assert "not implemented" in ais.fails("start", "rebalance")
    assert "bucket has to be named" in ais.fails("start", "job", "mirror")
    assert ais.fails("start", "mirror", bucket, "--copies", "2")  # there is one data folder
    assert ais.fails("evict", bucket)
    assert ais.fails("prefetch", bucket, "--list", "x")


def test_stopping_a_job(ais: Ais, bucket: str) -> None:
    """A job that takes long is shown as it runs, not awaited for longer than was said, and stopped."""
    id = ais("rmo", bucket, "--template", "none-{0..9999999}", "-y").output.rpartition(" ")[2].strip("'\n")
    assert [row[-1] for row in ais("show", "job", id, "-H").rows] == ["Running"]
    assert id in ais("show", "job").output
    assert "timed out" in ais.fails("wait", id, "--timeout", "10ms")
    assert ais("stop", "job", id).output == f"Stopped delete-objects[{id}]\n"
    assert ais.fails("wait", id) == f"job {id} was stopped"
    assert [row[-1] for row in ais("show", "job", id, "-H").rows] == ["Aborted"]
    assert "no running job" in ais.fails("stop", id)


def test_jobs_that_are_none(ais: Ais) -> None:
    """A job that nobody knows is not found, whatever one wants of it."""
    for command in (["show", "job", "nope"], ["wait", "nope"], ["wait", "job", "nope"], ["stop", "job", "nope"]):
        assert 'job "nope"' in ais.fails(*command)
    assert "invalid duration" in ais.fails("cp", "ais://a", "ais://b", "--timeout", "soon")


def test_no_jobs(ais: Ais) -> None:
    """Where nothing runs, that is said, and where to look for what has run."""
    assert "ais show job --all" in ais("show", "job").output or "Running" in ais("show", "job").output
