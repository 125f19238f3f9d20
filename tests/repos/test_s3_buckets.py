"""Buckets that are branches of repositories, as S3 clients see them: names, making, listing and removing them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
import requests
from botocore.exceptions import ClientError

from tests.clients.sdk import code, read
from tests.repos.conftest import new_name
from tidegate import errors
from tidegate.refs import RefName, RepoName, parse_bucket
from tidegate.testing import ServerProcess

COMMIT = "8b234298a6d84b3f8e4f3f7f7c3f5a54"
NO_BUCKET = "The specified bucket does not exist."


def refused(act: Callable[..., object], *arguments: str, **options: Any) -> tuple[int, str, str]:
    """Status, code and message of a call that was refused."""
    with pytest.raises(ClientError) as raised:
        act(*arguments, **options)
    return *code(raised), raised.value.response["Error"]["Message"]


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bucket", "repo", "project", "ref"),
    [
        ("images", "images", "default", "master"),
        ("master.images", "images", "default", "master"),
        ("dev.images", "images", "default", "dev"),
        (f"{COMMIT}.images", "images", "default", f"master={COMMIT}"),
        (f"{COMMIT}.dev.images", "images", "default", f"dev={COMMIT}"),
        ("dev.images.proj", "images", "proj", "dev"),
        ("master.images.default", "images", "default", "master"),
        (f"{COMMIT}.dev.images.proj", "images", "proj", f"dev={COMMIT}"),
        (COMMIT, COMMIT, "default", "master"),
        ("8b234298a6d83b3f8e4f3f7f7c3f5a54.images", "images", "default", "8b234298a6d83b3f8e4f3f7f7c3f5a54"),
        ("Branch_1.Repo-2", "Repo-2", "default", "Branch_1"),
        ("at-20261120t120000z.dev.images", "images", "default", "dev@at-20261120t120000z"),
        ("at-20261120t120000z.images", "images", "default", "master@at-20261120t120000z"),
        ("at-20261120t120000z.dev.images.proj", "images", "proj", "dev@at-20261120t120000z"),
    ],
)
def test_what_names_mean(bucket: str, repo: str, project: str, ref: str) -> None:
    """A bucket's name is ``[[commit.]branch.]repo[.project]``; two parts are always a branch and a repository."""
    assert parse_bucket(bucket) == RefName(RepoName(repo, project), ref)


@pytest.mark.parametrize(
    "bucket", ["", ".", "a.", ".b", "a..b", "a.b.c.d", f"{COMMIT}.a.b.c.d", f"{COMMIT}.", "é.b", "a b", "a/b"]
)
def test_names_that_mean_nothing(bucket: str) -> None:
    """Anything else is no name of a bucket."""
    with pytest.raises(errors.InvalidBucketName):
        parse_bucket(bucket)


def test_bad_names_over_the_wire(server: ServerProcess) -> None:
    """Each operation on a bucket of a bad name says so, and none is a fault of the server's."""
    for name in ("a.b.c.d", "a..b", "%C3%A9.b", "a%20b"):
        for method, path in (("PUT", ""), ("GET", ""), ("DELETE", ""), ("PUT", "/k"), ("GET", "/k"), ("DELETE", "/k")):
            answer = requests.request(method, f"{server.repos_url}/{name}{path}", timeout=10)
            assert (answer.status_code, _code(answer)) == (400, "InvalidBucketName"), (method, name)
            assert "<Message>The specified bucket is not valid.</Message>" in answer.text


def _code(answer: requests.Response) -> str:
    found = re.search("<Code>(.*)</Code>", answer.text)
    return found[1] if found else ""


def test_every_name_of_a_state_reads_it(s3: Any) -> None:
    """All names of a state lead to the same objects."""
    repo = new_name()
    for branch in ("master", "dev"):
        s3.create_bucket(Bucket=f"{branch}.{repo}")
    made = {
        branch: s3.put_object(Bucket=f"{branch}.{repo}", Key="k", Body=branch.encode())["VersionId"]
        for branch in ("master", "dev")
    }
    for name, expected in {
        repo: b"master",
        f"master.{repo}": b"master",
        f"master.{repo}.default": b"master",
        f"{made['master']}.{repo}": b"master",
        f"{made['master']}.master.{repo}": b"master",
        f"{made['dev']}.dev.{repo}": b"dev",
        f"{made['dev']}.dev.{repo}.default": b"dev",
        f"at-29991120t120000z.dev.{repo}": b"dev",
    }.items():
        assert read(s3, name, "k") == expected
        assert [each["Key"] for each in s3.list_objects_v2(Bucket=name)["Contents"]] == ["k"]


# --- making, listing, removing ----------------------------------------------------------------------------------------


def test_making_a_bucket_makes_repository_and_branch(s3: Any) -> None:
    """A new bucket is a branch of a repository, which is made with it; the region that is asked for means nothing."""
    repo = new_name()
    assert s3.create_bucket(Bucket=f"dev.{repo}")["ResponseMetadata"]["HTTPStatusCode"] == 200
    s3.create_bucket(Bucket=repo, CreateBucketConfiguration={"LocationConstraint": "eu-west-3"})
    s3.create_bucket(Bucket=f"other.{repo}")
    assert [name for name in _names(s3) if repo in name] == [f"dev.{repo}", f"master.{repo}", f"other.{repo}"]
    expected = (
        409,
        "BucketAlreadyOwnedByYou",
        "The bucket you tried to create already exists, and you own it.",
    )
    for name in (f"dev.{repo}", repo, f"master.{repo}", f"master.{repo}.default"):
        assert refused(s3.create_bucket, Bucket=name) == expected
    assert s3.get_bucket_location(Bucket=repo)["LocationConstraint"] == "PACHYDERM"


def _names(s3: Any) -> list[str]:
    return [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]


def test_buckets_that_nobody_can_make(s3: Any) -> None:
    """A commit or a time is no bucket that could be made; a project has to be there."""
    repo = new_name()
    for name in (f"{COMMIT}.{repo}", f"{COMMIT}.dev.{repo}", f"at-20261120t120000z.{repo}", "a.b.c.d"):
        assert refused(s3.create_bucket, Bucket=name)[:2] == (400, "InvalidBucketName")
    assert refused(s3.create_bucket, Bucket=f"master.{repo}.nope")[:2] == (404, "NoSuchProject")
    assert not [name for name in _names(s3) if repo in name]


def test_listing_buckets(s3: Any, server: ServerProcess) -> None:
    """All branches are listed, those of the newest repository first, with the repository's date."""
    repos = [new_name() for _ in range(3)]
    begun = datetime.now(UTC)
    for repo in repos:
        s3.create_bucket(Bucket=f"master.{repo}")
    s3.create_bucket(Bucket=f"dev.{repos[0]}")
    answer = s3.list_buckets()
    listed = [each for each in answer["Buckets"] if each["Name"].partition(".")[2] in repos]
    expected = [f"master.{repos[2]}", f"master.{repos[1]}", f"dev.{repos[0]}", f"master.{repos[0]}"]
    assert [each["Name"] for each in listed] == expected
    dates = {each["Name"]: each["CreationDate"] for each in listed}
    assert dates[f"dev.{repos[0]}"] == dates[f"master.{repos[0]}"]
    assert all(abs(date - begun) < timedelta(minutes=5) for date in dates.values())
    assert answer["Owner"] == {"ID": "0" * 32, "DisplayName": "pachyderm"}
    names, token = [], ""
    while True:
        page = s3.list_buckets(MaxBuckets=2, **({"ContinuationToken": token} if token else {}))
        names += [each["Name"] for each in page["Buckets"]]
        token = page.get("ContinuationToken", "")
        if not token:
            break
    assert names == [each["Name"] for each in answer["Buckets"]]
    assert [each["Name"] for each in s3.list_buckets(Prefix=f"dev.{repos[0]}")["Buckets"]] == [f"dev.{repos[0]}"]


def test_removing_a_bucket(s3: Any) -> None:
    """Only an empty branch goes, and its repository with the last one."""
    repo = new_name()
    for branch in ("master", "dev"):
        s3.create_bucket(Bucket=f"{branch}.{repo}")
    s3.put_object(Bucket=f"dev.{repo}", Key="k", Body=b"1")
    assert refused(s3.delete_bucket, Bucket=f"dev.{repo}")[:2] == (409, "BucketNotEmpty")
    s3.delete_object(Bucket=f"dev.{repo}", Key="k")
    assert s3.delete_bucket(Bucket=f"dev.{repo}")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert [name for name in _names(s3) if repo in name] == [f"master.{repo}"]
    s3.delete_bucket(Bucket=repo)
    assert not [name for name in _names(s3) if repo in name]
    for name in (repo, f"dev.{repo}"):
        assert refused(s3.delete_bucket, Bucket=name) == (404, "NoSuchBucket", NO_BUCKET)
    s3.create_bucket(Bucket=repo)
    assert "Contents" not in s3.list_objects_v2(Bucket=repo)


def test_a_snapshot_is_no_bucket_to_remove(s3: Any) -> None:
    """Removing a commit's bucket removes nothing."""
    repo = new_name()
    s3.create_bucket(Bucket=repo)
    made = s3.put_object(Bucket=repo, Key="k", Body=b"1")["VersionId"]
    s3.delete_object(Bucket=repo, Key="k")
    for name in (f"{made}.{repo}", f"{made}.master.{repo}", f"at-29991120t120000z.{repo}"):
        assert refused(s3.delete_bucket, Bucket=name)[:2] == (403, "AccessDenied")
    s3.head_bucket(Bucket=repo)


def test_buckets_that_are_not_there(s3: Any) -> None:
    """Whatever is asked of a repository or branch that is not there is answered with NoSuchBucket."""
    repo = new_name()
    s3.create_bucket(Bucket=f"dev.{repo}")
    for name in (f"nope.{repo}", repo, "nope", f"master.nope-{repo}", f"dev.{repo}.nope", f"{COMMIT}.{repo}"):
        for act in (
            partial(s3.list_objects_v2, Bucket=name),
            partial(s3.list_objects, Bucket=name),
            partial(s3.list_object_versions, Bucket=name),
            partial(s3.get_bucket_location, Bucket=name),
            partial(s3.get_bucket_versioning, Bucket=name),
            partial(s3.delete_bucket, Bucket=name),
            partial(s3.put_object, Bucket=name, Key="k", Body=b"1"),
            partial(s3.delete_object, Bucket=name, Key="k"),
            partial(s3.create_multipart_upload, Bucket=name, Key="k"),
            partial(s3.copy_object, Bucket=name, Key="k", CopySource={"Bucket": repo, "Key": "k"}),
        ):
            assert refused(act) == (404, "NoSuchBucket", NO_BUCKET), name
        with pytest.raises(ClientError) as raised:
            s3.head_bucket(Bucket=name)
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    for name in (f"nope.{repo}", repo, "nope"):
        assert refused(s3.get_object, Bucket=name, Key="k") == (404, "NoSuchBucket", NO_BUCKET)


def test_buckets_of_commits_that_are_not_there(s3: Any) -> None:
    """In a bucket of an unknown commit there is no key; the bucket itself is not there. So it is with another
    branch's commit.
    """
    repo = new_name()
    s3.create_bucket(Bucket=repo)
    s3.create_bucket(Bucket=f"dev.{repo}")
    there = s3.put_object(Bucket=f"dev.{repo}", Key="k", Body=b"1")["VersionId"]
    expected = (404, "NoSuchKey", "The specified key does not exist.")
    for commit in (COMMIT, str(uuid4().hex), there):
        for name in (f"{commit}.{repo}", f"{commit}.master.{repo}"):
            assert refused(s3.get_object, Bucket=name, Key="k") == expected
            assert refused(s3.list_objects_v2, Bucket=name) == (404, "NoSuchBucket", NO_BUCKET)
            for head in (partial(s3.head_object, Bucket=name, Key="k"), partial(s3.head_bucket, Bucket=name)):
                with pytest.raises(ClientError) as raised:
                    head()
                assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_an_empty_branch(s3: Any) -> None:
    """A branch without commits lists nothing and has no key."""
    repo = new_name()
    s3.create_bucket(Bucket=repo)
    assert s3.list_objects_v2(Bucket=repo)["KeyCount"] == 0
    assert "Contents" not in s3.list_objects(Bucket=repo)
    assert "Versions" not in s3.list_object_versions(Bucket=repo)
    assert refused(s3.get_object, Bucket=repo, Key="k") == (
        404, "NoSuchKey", "The specified key does not exist.",
    )  # fmt: skip
    assert s3.get_bucket_versioning(Bucket=repo)["Status"] == "Enabled"


def test_versioning_of_a_branch(s3: Any) -> None:
    """A branch keeps all versions: that can be asked for, and nothing else."""
    repo = new_name()
    s3.create_bucket(Bucket=repo)

    def put(status: str, name: str = repo) -> Any:
        return s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": status})

    put("Enabled")
    assert refused(put, "Suspended")[:2] == (501, "NotImplemented")
    assert refused(put, "Maybe")[:2] == (400, "IllegalVersioningConfigurationException")
    assert refused(put, "Enabled", f"nope.{repo}")[:2] == (404, "NoSuchBucket")
    assert s3.get_bucket_versioning(Bucket=repo)["Status"] == "Enabled"


def test_the_main_port_has_the_same_buckets(s3: Any, main_s3: Any) -> None:
    """Branches are buckets of the main endpoint too, to read and to write; and plain ones are not on the other port."""
    repo, plain = new_name(), new_name().replace("_", "-") + "-plain"
    s3.create_bucket(Bucket=f"dev.{repo}")
    made = main_s3.put_object(Bucket=f"dev.{repo}", Key="k", Body=b"1")["VersionId"]
    assert read(s3, f"dev.{repo}", "k") == read(main_s3, f"{made}.dev.{repo}", "k") == b"1"
    assert f"dev.{repo}" in _names(main_s3)
    main_s3.create_bucket(Bucket=plain)
    main_s3.put_object(Bucket=plain, Key="k", Body=b"1")
    assert plain not in _names(s3)
    assert refused(s3.get_object, Bucket=plain, Key="k") == (404, "NoSuchBucket", NO_BUCKET)
    main_s3.delete_object(Bucket=f"dev.{repo}", Key="k")
    main_s3.delete_bucket(Bucket=f"dev.{repo}")
    assert not [name for name in _names(s3) if repo in name]
    main_s3.delete_object(Bucket=plain, Key="k")
    main_s3.delete_bucket(Bucket=plain)


def test_names_conflict_both_ways(s3: Any, main_s3: Any) -> None:
    """A plain bucket does not take the name of a branch, nor a branch that of a plain bucket."""
    one, other = (new_name().replace("_", "-") for _ in range(2))
    s3.create_bucket(Bucket=f"dev.{one}")
    s3.create_bucket(Bucket=f"master.{one}")
    region = {"CreateBucketConfiguration": {"LocationConstraint": "eu-west-3"}}
    for name in (f"dev.{one}", f"master.{one}", one):
        status, _, _ = refused(main_s3.create_bucket, Bucket=name, **region)
        assert status == 409
    main_s3.create_bucket(Bucket=f"dev.{other}")
    status, _, _ = refused(s3.create_bucket, Bucket=f"dev.{other}")
    assert status == 409
    assert not [name for name in _names(s3) if other in name]
    main_s3.delete_bucket(Bucket=f"dev.{other}")


def test_a_plain_bucket_at_a_time(main_s3: Any) -> None:
    """A bucket with versions shows what was in it at a time, and nobody can change that; one without has no past."""
    bucket = new_name().replace("_", "-") + "-versioned"
    main_s3.create_bucket(Bucket=bucket)
    main_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    main_s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    main_s3.put_object(Bucket=bucket, Key="gone", Body=b"1")
    then = main_s3.head_object(Bucket=bucket, Key="gone")["LastModified"]
    fine = _microseconds_later(main_s3, bucket)
    main_s3.put_object(Bucket=bucket, Key="a", Body=b"2")
    main_s3.put_object(Bucket=bucket, Key="b", Body=b"2")
    main_s3.delete_object(Bucket=bucket, Key="gone")
    past, now = f"at-{fine}.{bucket}", f"at-29991120t120000z.{bucket}"
    assert {key: read(main_s3, past, key) for key in ("a", "gone")} == {"a": b"1", "gone": b"1"}
    assert [each["Key"] for each in main_s3.list_objects_v2(Bucket=past)["Contents"]] == ["a", "gone"]
    assert [each["Key"] for each in main_s3.list_objects(Bucket=now)["Contents"]] == ["a", "b"]
    assert [each["Key"] for each in main_s3.list_objects_v2(Bucket=now, StartAfter="a")["Contents"]] == ["b"]
    assert refused(main_s3.get_object, Bucket=past, Key="b")[:2] == (404, "NoSuchKey")
    assert "Contents" not in main_s3.list_objects_v2(Bucket=f"at-{then - timedelta(days=1):%Y%m%dt%H%M%Sz}.{bucket}")
    for act in (
        partial(main_s3.put_object, Bucket=past, Key="k", Body=b"1"),
        partial(main_s3.delete_object, Bucket=past, Key="a"),
        partial(main_s3.delete_bucket, Bucket=past),
        partial(main_s3.create_multipart_upload, Bucket=past, Key="a"),
        partial(main_s3.copy_object, Bucket=past, Key="x", CopySource={"Bucket": bucket, "Key": "a"}),
    ):
        assert refused(act)[:2] == (403, "AccessDenied")
    main_s3.copy_object(Bucket=bucket, Key="a", CopySource={"Bucket": past, "Key": "a"})
    assert read(main_s3, bucket, "a") == b"1"
    plain = f"{bucket}-not"
    main_s3.create_bucket(Bucket=plain)
    assert refused(main_s3.list_objects_v2, Bucket=f"at-29991120t120000z.{plain}")[:2] == (
        400,
        "InvalidRequest",
    )
    for time in ("at-20261320t120000z", "at-99999999t999999z"):
        assert refused(main_s3.list_objects_v2, Bucket=f"{time}.{bucket}")[:2] == (400, "InvalidArgument")


def _microseconds_later(s3: Any, bucket: str) -> str:
    """A time after all that was written so far, and before anything that is written later; as in a bucket's name."""
    s3.list_objects_v2(Bucket=bucket)
    return f"{datetime.now(UTC):%Y%m%dt%H%M%S%fz}"
