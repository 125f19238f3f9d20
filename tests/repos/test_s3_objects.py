"""Objects on branches, as S3 clients see them: every write is a commit, and every commit can be read."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError
from minio import Minio
from minio.commonconfig import CopySource
from minio.deleteobjects import DeleteObject

from tests.clients.sdk import code, read
from tests.repos.conftest import new_name
from tests.repos.test_s3_buckets import refused
from tidegate.refs import is_commit_id
from tidegate.testing import ServerProcess

MIB = 1024 * 1024
REFUSED = (403, "AccessDenied")

Commits = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def repo(s3: Any) -> str:
    """A repository with an empty branch master, whose bucket has the same name."""
    name = new_name()
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def commits(server: ServerProcess) -> Commits:
    """The commits of a branch, the newest first, as the native interface of repositories tells them."""

    def listed(repo: str, ref: str = "master") -> list[dict[str, Any]]:
        url = f"{server.url}/v2/projects/default/repos/{repo}/commits"
        answer = requests.get(url, params={"ref": ref, "limit": "1000"}, timeout=10)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    return listed


class Native:
    """The calls that S3 has no words for."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/v2/projects/default/repos"

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = requests.request(method, f"{self._url}/{path}", json=body, timeout=10)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def start(self, repo: str, branch: str = "master") -> str:
        return str(self.call("POST", f"{repo}/commits", {"branch": branch})["id"])

    def finish(self, repo: str, ref: str = "master") -> None:
        self.call("POST", f"{repo}/commits/{ref}/finish", {})


@pytest.fixture
def native(server: ServerProcess) -> Native:
    """What is done to repositories beside S3."""
    return Native(server.url)


def keys(s3: Any, bucket: str, **wanted: Any) -> list[str]:
    """The keys in a page of a listing."""
    return [each["Key"] for each in s3.list_objects_v2(Bucket=bucket, **wanted).get("Contents", [])]


# --- every write is a commit ------------------------------------------------------------------------------------------


def test_each_kind_of_write_is_one_commit(s3: Any, repo: str, commits: Commits) -> None:
    """Put, copy, delete, delete of many, multipart completion, rename, append and tagging: one commit each, whose id is
    the version's.
    """
    made: list[str] = []

    def note(version_id: str) -> None:
        assert is_commit_id(version_id)
        made.insert(0, version_id)
        assert [each["id"] for each in commits(repo)] == made

    note(s3.put_object(Bucket=repo, Key="a", Body=b"1")["VersionId"])
    note(s3.copy_object(Bucket=repo, Key="b", CopySource={"Bucket": repo, "Key": "a"})["VersionId"])
    upload = s3.create_multipart_upload(Bucket=repo, Key="c")["UploadId"]
    part = s3.upload_part(Bucket=repo, Key="c", UploadId=upload, PartNumber=1, Body=b"x" * 5 * MIB)["ETag"]
    other = s3.upload_part_copy(
        Bucket=repo, Key="c", UploadId=upload, PartNumber=2, CopySource={"Bucket": repo, "Key": "a"}
    )["CopyPartResult"]["ETag"]
    assert [each["id"] for each in commits(repo)] == made
    parts = [{"PartNumber": 1, "ETag": part}, {"PartNumber": 2, "ETag": other}]
    done = s3.complete_multipart_upload(Bucket=repo, Key="c", UploadId=upload, MultipartUpload={"Parts": parts})
    note(done["VersionId"])
    assert done["ETag"].endswith('-2"')
    s3.rename_object(Bucket=repo, Key="d", RenameSource="b")
    note(commits(repo)[0]["id"])
    assert commits(repo)[0]["changes"] == 2
    note(s3.put_object(Bucket=repo, Key="a", Body=b"2", WriteOffsetBytes=1)["VersionId"])
    assert read(s3, repo, "a") == b"12"
    tagged = s3.put_object_tagging(Bucket=repo, Key="a", Tagging={"TagSet": [{"Key": "x", "Value": "1"}]})
    note(tagged["VersionId"])
    assert s3.get_object_tagging(Bucket=repo, Key="a")["TagSet"] == [{"Key": "x", "Value": "1"}]
    s3.delete_object_tagging(Bucket=repo, Key="a")
    note(commits(repo)[0]["id"])
    assert s3.get_object_tagging(Bucket=repo, Key="a", VersionId=made[1])["TagSet"] == [{"Key": "x", "Value": "1"}]
    deleted = s3.delete_object(Bucket=repo, Key="a")
    assert deleted["DeleteMarker"] is True
    note(deleted["VersionId"])
    answer = s3.delete_objects(Bucket=repo, Delete={"Objects": [{"Key": key} for key in ("c", "d", "nope")]})
    (of_both,) = {each["DeleteMarkerVersionId"] for each in answer["Deleted"] if "DeleteMarkerVersionId" in each}
    assert {each["Key"] for each in answer["Deleted"]} == {"c", "d", "nope"}
    note(of_both)
    assert keys(s3, repo) == []


def test_deleting_what_is_not_there_is_no_commit(s3: Any, repo: str, commits: Commits) -> None:
    """A delete of a missing key succeeds and leaves no trace, once and among many."""
    s3.put_object(Bucket=repo, Key="a", Body=b"1")
    answer = s3.delete_object(Bucket=repo, Key="nope")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert "VersionId" not in answer
    s3.delete_objects(Bucket=repo, Delete={"Objects": [{"Key": "x"}, {"Key": "y"}]})
    assert len(commits(repo)) == 1
    s3.delete_object(Bucket=repo, Key="a")
    s3.delete_object(Bucket=repo, Key="a")
    assert len(commits(repo)) == 2


def test_writers_at_the_same_time(server: ServerProcess, repo: str, commits: Commits) -> None:
    """Whatever many clients write at once through both processes is a commit each, one after the other."""

    def write(number: int) -> str:
        answer = requests.put(f"{server.repos_url}/{repo}/k{number % 7}", data=b"%d" % number, timeout=30)
        assert answer.status_code == 200
        return str(answer.headers["x-amz-version-id"])

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(write, range(60)))
    found = commits(repo)
    assert {each["id"] for each in found} == set(made)
    assert len(made) == len(set(made))
    assert [each["parent"] for each in found] == [*(each["id"] for each in found[1:]), None]
    for number in (0, 31, 59):
        answer = requests.get(f"{server.repos_url}/{made[number]}.{repo}/k{number % 7}", timeout=10)
        assert answer.content == b"%d" % number


def test_messages(s3: Any, repo: str, commits: Commits) -> None:
    """A commit's message comes as metadata of a put, a copy or an upload, and is not kept of the object."""
    metadata = {"tidegate-commit-message": "New labels.", "x": "1"}
    s3.put_object(Bucket=repo, Key="a", Body=b"1", Metadata=metadata)
    s3.copy_object(
        Bucket=repo, Key="b", CopySource={"Bucket": repo, "Key": "a"}, Metadata=metadata, MetadataDirective="REPLACE"
    )
    upload = s3.create_multipart_upload(Bucket=repo, Key="c", Metadata=metadata)["UploadId"]
    part = s3.upload_part(Bucket=repo, Key="c", UploadId=upload, PartNumber=1, Body=b"1")["ETag"]
    s3.complete_multipart_upload(
        Bucket=repo, Key="c", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]}
    )
    assert [each["message"] for each in commits(repo)] == ["New labels."] * 3
    for key in ("a", "b", "c"):
        assert s3.head_object(Bucket=repo, Key=key)["Metadata"] == {"x": "1"}
    s3.copy_object(Bucket=repo, Key="d", CopySource={"Bucket": repo, "Key": "a"})
    assert commits(repo)[0]["message"] == ""


def test_a_message_with_other_letters(server: ServerProcess, s3: Any, repo: str, commits: Commits) -> None:
    """A message is UTF-8 in its header."""
    headers = {"x-amz-meta-tidegate-commit-message": "Für später".encode()}
    answer = requests.put(f"{server.repos_url}/{repo}/a", data=b"1", headers=headers, timeout=10)
    assert answer.status_code == 200
    answer = requests.delete(f"{server.repos_url}/{repo}/a", headers=headers, timeout=10)
    assert answer.status_code == 204
    assert [each["message"] for each in commits(repo)] == ["Für später"] * 2


def test_if_head_commit(server: ServerProcess, s3: Any, repo: str, commits: Commits) -> None:
    """A write that insists on a HEAD is refused where another one came in between, whatever it writes."""
    first = s3.put_object(Bucket=repo, Key="a", Body=b"1")["VersionId"]
    second = s3.put_object(Bucket=repo, Key="a", Body=b"2")["VersionId"]
    url = f"{server.repos_url}/{repo}"

    def send(method: str, path: str, head: str, **options: Any) -> requests.Response:
        headers = {"If-Head-Commit": head, **options.pop("headers", {})}
        return requests.request(method, f"{url}{path}", headers=headers, timeout=10, **options)

    many = "<Delete><Object><Key>a</Key></Object></Delete>"
    source = {"x-amz-copy-source": f"/{repo}/a"}
    for act in (
        lambda head: send("PUT", "/b", head, data=b"1"),
        lambda head: send("PUT", "/c", f'"{head}"', headers=source),
        lambda head: send("DELETE", "/b", head),
        lambda head: send("POST", "?delete", head, data=many),
    ):
        refusal = act(first)
        assert refusal.status_code == 412
        assert "<Code>PreconditionFailed</Code>" in refusal.text
        assert act(commits(repo)[0]["id"]).status_code in {200, 204}
    assert len(commits(repo)) == 6
    assert commits(repo)[-2]["id"] == second


def test_if_head_commit_is_for_branches(server: ServerProcess, main_s3: Any) -> None:
    """A plain bucket has no commits: who insists on one is told so, and nothing is written."""
    bucket = new_name().replace("_", "-") + "-no-commits"
    main_s3.create_bucket(Bucket=bucket)
    for method, path in (("PUT", "/a"), ("DELETE", "/a")):
        answer = requests.request(
            method, f"{server.url}/{bucket}{path}", data=b"1", headers={"If-Head-Commit": "0" * 32}, timeout=10
        )
        assert (answer.status_code, "<Code>InvalidRequest</Code>" in answer.text) == (400, True)
    assert keys(main_s3, bucket) == []


def test_conditions_on_a_branch(s3: Any, repo: str, commits: Commits) -> None:
    """Conditional writes hold on a branch as in any bucket, and what they refuse is no commit."""
    put = s3.put_object(Bucket=repo, Key="a", Body=b"1", IfNoneMatch="*")
    for act in (
        partial(s3.put_object, Bucket=repo, Key="a", Body=b"2", IfNoneMatch="*"),
        partial(s3.put_object, Bucket=repo, Key="a", Body=b"2", IfMatch='"0"'),
        partial(s3.delete_object, Bucket=repo, Key="a", IfMatch='"0"'),
    ):
        assert refused(act)[:2] == (412, "PreconditionFailed")
    assert len(commits(repo)) == 1
    s3.put_object(Bucket=repo, Key="a", Body=b"2", IfMatch=put["ETag"])
    s3.delete_object(Bucket=repo, Key="a")
    s3.put_object(Bucket=repo, Key="a", Body=b"3", IfNoneMatch="*")
    with pytest.raises(ClientError) as raised:
        s3.get_object(Bucket=repo, Key="a", IfNoneMatch=s3.head_object(Bucket=repo, Key="a")["ETag"])
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 304


# --- every commit can be read -----------------------------------------------------------------------------------------


def test_reading_by_version(s3: Any, repo: str) -> None:
    """A version id is a commit's: any key reads as it was there, also one that the commit did not write."""
    first = s3.put_object(Bucket=repo, Key="a", Body=b"1")["VersionId"]
    second = s3.put_object(Bucket=repo, Key="b", Body=b"1")["VersionId"]
    third = s3.put_object(Bucket=repo, Key="a", Body=b"2")["VersionId"]
    fourth = s3.delete_object(Bucket=repo, Key="b")["VersionId"]
    for commit, a, b in ((first, b"1", None), (second, b"1", b"1"), (third, b"2", b"1"), (fourth, b"2", None)):
        assert read(s3, repo, "a", VersionId=commit) == a
        head = s3.head_object(Bucket=repo, Key="a", VersionId=commit)
        assert (head["VersionId"], head["ContentLength"]) == (commit, 1)
        assert s3.get_object(Bucket=repo, Key="a", VersionId=commit)["VersionId"] == commit
        if b is not None:
            assert read(s3, repo, "b", VersionId=commit) == b
    assert refused(s3.get_object, Bucket=repo, Key="b", VersionId=first)[0] == 404
    assert refused(s3.get_object, Bucket=repo, Key="b", VersionId=fourth)[:2] == (405, "MethodNotAllowed")
    assert s3.get_object(Bucket=repo, Key="a")["VersionId"] == third
    s3.copy_object(Bucket=repo, Key="copy", CopySource={"Bucket": repo, "Key": "a", "VersionId": second})
    assert read(s3, repo, "copy") == b"1"
    assert s3.get_object(Bucket=repo, Key="a", Range="bytes=0-0", VersionId=first)["Body"].read() == b"1"


def test_versions_that_are_not_there(s3: Any, repo: str) -> None:
    """A version id that is no commit of this branch's past is NoSuchVersion, another branch's commit too."""
    s3.put_object(Bucket=repo, Key="a", Body=b"1")
    s3.create_bucket(Bucket=f"dev.{repo}")
    there = s3.put_object(Bucket=f"dev.{repo}", Key="a", Body=b"2")["VersionId"]
    message = "The version ID specified in the request does not match an existing version."
    for version_id in (there, "8b234298a6d84b3f8e4f3f7f7c3f5a54", "x", "null", "0" * 32):
        expected = (404, "NoSuchVersion", message)
        assert refused(s3.get_object, Bucket=repo, Key="a", VersionId=version_id) == expected
        assert refused(
            s3.copy_object, Bucket=repo, Key="x", CopySource={"Bucket": repo, "Key": "a", "VersionId": version_id}
        )[:2] == (404, "NoSuchVersion")
    assert read(s3, f"dev.{repo}", "a", VersionId=there) == b"2"


def test_deleting_a_version_is_refused(s3: Any, repo: str) -> None:
    """What was committed stays: a delete that names a version is not done, alone or among others."""
    made = s3.put_object(Bucket=repo, Key="a", Body=b"1")["VersionId"]
    assert refused(s3.delete_object, Bucket=repo, Key="a", VersionId=made)[:2] == (501, "NotImplemented")
    answer = s3.delete_objects(Bucket=repo, Delete={"Objects": [{"Key": "a", "VersionId": made}]})
    assert [each["Code"] for each in answer["Errors"]] == ["NotImplemented"]
    assert read(s3, repo, "a") == b"1"


def test_listing_versions(s3: Any, repo: str, native: Native) -> None:
    """The versions of a branch are its objects' own: what was written, and delete markers, page by page."""
    first = s3.put_object(Bucket=repo, Key="a", Body=b"1")["VersionId"]
    second = s3.put_object(Bucket=repo, Key="a/b", Body=b"1")["VersionId"]
    third = s3.put_object(Bucket=repo, Key="a", Body=b"22")["VersionId"]
    fourth = s3.delete_object(Bucket=repo, Key="a/b")["VersionId"]
    expected = [("a", third, True), ("a", first, False), ("a/b", fourth, True), ("a/b", second, False)]

    def listed(bucket: str, size: int = 1000, **wanted: Any) -> list[tuple[str, str, bool]]:
        found: list[tuple[str, str, bool]] = []
        pages = s3.get_paginator("list_object_versions").paginate(
            Bucket=bucket, PaginationConfig={"PageSize": size}, **wanted
        )
        for page in pages:
            every = (*page.get("Versions", []), *page.get("DeleteMarkers", []))
            found += [(each["Key"], each["VersionId"], each["IsLatest"]) for each in every]
        return sorted(found, key=lambda each: (each[0], not each[2]))

    for size in (1, 3, 1000):
        assert listed(repo, size) == expected
    page = s3.list_object_versions(Bucket=repo)
    newest = page["Versions"][0]
    assert (newest["Size"], newest["ETag"]) == (2, '"b6d767d2f8ed5d21a44b0e5886680cb9"')
    assert [each["Key"] for each in page["DeleteMarkers"]] == ["a/b"]
    assert [each["Prefix"] for each in s3.list_object_versions(Bucket=repo, Delimiter="/")["CommonPrefixes"]] == ["a/"]
    native.call("PUT", f"{repo}/branches/dev", {"head": second})
    fifth = s3.put_object(Bucket=f"dev.{repo}", Key="a", Body=b"3")["VersionId"]
    assert listed(f"dev.{repo}") == [("a", fifth, True), ("a", first, False), ("a/b", second, True)]
    assert listed(f"{second}.{repo}") == [("a", first, True), ("a/b", second, True)]


def test_buckets_of_commits(s3: Any, repo: str) -> None:
    """A commit's bucket is a snapshot of everything, to be listed in every way, and nobody writes to it."""
    made = ""
    for key in ("a", "b/c", "b/d", "e"):
        made = s3.put_object(Bucket=repo, Key=key, Body=key.encode())["VersionId"]
    s3.delete_object(Bucket=repo, Key="a")
    s3.put_object(Bucket=repo, Key="b/c", Body=b"changed")
    s3.put_object(Bucket=repo, Key="z", Body=b"new")
    for bucket in (f"{made}.{repo}", f"{made}.master.{repo}"):
        assert keys(s3, bucket) == ["a", "b/c", "b/d", "e"]
        assert [each["Key"] for each in s3.list_objects(Bucket=bucket)["Contents"]] == ["a", "b/c", "b/d", "e"]
        assert keys(s3, bucket, Prefix="b/") == ["b/c", "b/d"]
        for list_objects in (s3.list_objects, s3.list_objects_v2):
            page = list_objects(Bucket=bucket, Delimiter="/")
            assert [each["Key"] for each in page["Contents"]] == ["a", "e"]
            assert [each["Prefix"] for each in page["CommonPrefixes"]] == ["b/"]
        for name in ("list_objects", "list_objects_v2"):
            pages = s3.get_paginator(name).paginate(Bucket=bucket, PaginationConfig={"PageSize": 1})
            assert [each["Key"] for page in pages for each in page["Contents"]] == ["a", "b/c", "b/d", "e"]
        assert read(s3, bucket, "b/c") == b"b/c"
        assert refused(s3.get_object, Bucket=bucket, Key="z")[:2] == (404, "NoSuchKey")
        source = {"Bucket": bucket, "Key": "a"}
        for act in (
            partial(s3.put_object, Bucket=bucket, Key="a", Body=b"1"),
            partial(s3.delete_object, Bucket=bucket, Key="a"),
            partial(s3.copy_object, Bucket=bucket, Key="x", CopySource=source),
            partial(s3.create_multipart_upload, Bucket=bucket, Key="a"),
            partial(s3.put_object_tagging, Bucket=bucket, Key="a", Tagging={"TagSet": []}),
            partial(s3.rename_object, Bucket=bucket, Key="x", RenameSource="a"),
            partial(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}),
            partial(s3.put_bucket_tagging, Bucket=bucket, Tagging={"TagSet": []}),
        ):
            assert refused(act)[:2] == REFUSED
        many = refused_many(s3, bucket)
        assert many in ([REFUSED[1]], list(REFUSED))
        s3.copy_object(Bucket=repo, Key="restored", CopySource=source)
        assert read(s3, repo, "restored") == b"a"


def refused_many(s3: Any, bucket: str) -> list[Any]:
    """What a delete of many keys is refused with: as a whole, or one by one."""
    try:
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a"}]})
    except ClientError as error:
        return [error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]]
    return [each["Code"] for each in answer["Errors"]]


def test_tags_and_times_are_buckets(s3: Any, main_s3: Any, repo: str, native: Native) -> None:
    """A tag, and a branch at a time, are read-only buckets on both ports."""
    first = s3.put_object(Bucket=repo, Key="a", Body=b"1")["VersionId"]
    native.call("PUT", f"{repo}/tags/v1", {"ref": first})
    moment = f"{datetime.now(UTC):%Y%m%dt%H%M%S%fz}"
    s3.put_object(Bucket=repo, Key="a", Body=b"2")
    s3.put_object(Bucket=repo, Key="b", Body=b"2")
    for client in (s3, main_s3):
        for bucket in (
            f"v1.{repo}",
            f"at-{moment}.{repo}",
            f"at-{moment}.master.{repo}",
            f"AT-{moment.upper()}.{repo}",
        ):
            assert read(client, bucket, "a") == b"1"
            assert keys(client, bucket) == ["a"]
            assert refused(client.put_object, Bucket=bucket, Key="a")[:2] == REFUSED
            assert refused(client.delete_bucket, Bucket=bucket)[:2] == REFUSED
    assert f"v1.{repo}" not in [each["Name"] for each in s3.list_buckets()["Buckets"]]
    assert refused(s3.create_bucket, Bucket=f"v1.{repo}")[0] == 409
    assert refused(s3.list_objects_v2, Bucket=f"at-19991120t120000z.{repo}")[0] == 404


# --- open commits, output and protected branches ----------------------------------------------------------------------


def test_an_open_commit_over_two_processes(server: ServerProcess, s3: Any, repo: str, native: Native) -> None:
    """Whatever process a request comes to: writes go into the open commit, readers see the HEAD until it is finished,
    and then all of it.
    """
    with requests.Session() as kept:
        kept.headers["Connection"] = "close"  # a process is chosen for each connection
        url = f"{server.repos_url}/{repo}"
        before = s3.put_object(Bucket=repo, Key="old", Body=b"1")
        open_id = native.start(repo)
        for number in range(8):
            answer = kept.put(f"{url}/k{number}", data=b"%d" % number, timeout=10)
            assert (answer.status_code, answer.headers["x-amz-version-id"]) == (200, open_id)
        assert kept.put(f"{url}/k0", data=b"x", headers={"If-None-Match": "*"}, timeout=10).status_code == 412
        assert kept.delete(f"{url}/old", headers={"If-Match": before["ETag"]}, timeout=10).status_code == 204
        assert kept.put(f"{url}/old", data=b"2", headers={"If-Match": before["ETag"]}, timeout=10).status_code == 404
        for _ in range(4):
            assert kept.get(f"{url}/old", timeout=10).content == b"1"
            assert kept.get(f"{url}/k1", timeout=10).status_code == 404
            assert "k1" not in kept.get(url, timeout=10).text
            there = f"{server.repos_url}/{open_id}.{repo}"
            assert kept.get(f"{there}/k1", timeout=10).content == b"1"
            assert kept.get(f"{there}/old", timeout=10).status_code == 404
        native.finish(repo)
        for _ in range(4):
            assert [kept.get(f"{url}/k{number}", timeout=10).content for number in range(8)] == [
                b"%d" % number for number in range(8)
            ]
            assert kept.get(f"{url}/old", timeout=10).status_code == 404
        answer = kept.put(f"{url}/k0", data=b"x", timeout=10)
        assert answer.headers["x-amz-version-id"] != open_id


def test_uploads_and_copies_into_an_open_commit(s3: Any, repo: str, native: Native, commits: Commits) -> None:
    """Multipart uploads, copies and deletes of many go into the open commit as puts do."""
    s3.put_object(Bucket=repo, Key="a", Body=b"1")
    open_id = native.start(repo)
    upload = s3.create_multipart_upload(Bucket=repo, Key="b")["UploadId"]
    part = s3.upload_part(Bucket=repo, Key="b", UploadId=upload, PartNumber=1, Body=b"1")["ETag"]
    done = s3.complete_multipart_upload(
        Bucket=repo, Key="b", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]}
    )
    copied = s3.copy_object(Bucket=repo, Key="c", CopySource={"Bucket": repo, "Key": "a"})
    deleted = s3.delete_objects(Bucket=repo, Delete={"Objects": [{"Key": "a"}, {"Key": "b"}]})["Deleted"]
    ids = {done["VersionId"], copied["VersionId"], *(each["DeleteMarkerVersionId"] for each in deleted)}
    assert ids == {open_id}
    assert keys(s3, repo) == ["a"]
    native.finish(repo)
    assert keys(s3, repo) == ["c"]
    assert len(commits(repo)) == 2


def test_output_branches(s3: Any, main_s3: Any, repo: str, native: Native) -> None:
    """What is made of other branches is read-only to S3 clients, whatever they try, and can be read."""
    source = new_name()
    s3.create_bucket(Bucket=source)
    s3.put_object(Bucket=repo, Key="a", Body=b"1")
    upload = s3.create_multipart_upload(Bucket=repo, Key="c")["UploadId"]
    part = s3.upload_part(Bucket=repo, Key="c", UploadId=upload, PartNumber=1, Body=b"1")["ETag"]
    native.call("PUT", f"{repo}/branches/master", {"provenance": [{"repo": source, "branch": "master"}]})
    expected = (400, "WriteToOutputBranch", "You cannot write to an output branch")
    for client in (s3, main_s3):
        name = f"master.{repo}"
        for act in (
            partial(client.put_object, Bucket=name, Key="b", Body=b"1"),
            partial(client.delete_object, Bucket=name, Key="a"),
            partial(client.copy_object, Bucket=name, Key="b", CopySource={"Bucket": name, "Key": "a"}),
            partial(client.create_multipart_upload, Bucket=name, Key="b"),
            partial(
                client.complete_multipart_upload,
                Bucket=name,
                Key="c",
                UploadId=upload,
                MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]},
            ),
            partial(client.rename_object, Bucket=name, Key="b", RenameSource="a"),
            partial(client.put_object_tagging, Bucket=name, Key="a", Tagging={"TagSet": []}),
        ):
            assert refused(act) == expected
        assert refused_many(client, name) in ([expected[1]], list(expected[:2]))
        assert read(client, name, "a") == b"1"


def test_protected_branches(s3: Any, repo: str, native: Native) -> None:
    """A protected branch is read-only to S3 clients."""
    s3.put_object(Bucket=repo, Key="a", Body=b"1")
    native.call("PUT", f"{repo}/branches/master", {"is_protected": True})
    for act in (
        partial(s3.put_object, Bucket=repo, Key="b", Body=b"1"),
        partial(s3.delete_object, Bucket=repo, Key="a"),
        partial(s3.create_multipart_upload, Bucket=repo, Key="a"),
    ):
        assert refused(act)[:2] == REFUSED
    assert read(s3, repo, "a") == b"1"
    native.call("PUT", f"{repo}/branches/master", {"is_protected": False})
    s3.put_object(Bucket=repo, Key="b", Body=b"1")


# --- keys, sizes, times -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    ["é ü/漢字 🙂", "a?b*c[d]{e}!(f)@g+h^", "a//b", "../x/./y", "/leading", "trailing/", "a b&c=d%e", "\u200b"],
)
def test_any_key(s3: Any, repo: str, key: str) -> None:
    """Any UTF-8 key is an object's name, and is listed as it was written."""
    made = s3.put_object(Bucket=repo, Key=key, Body=key.encode())["VersionId"]
    assert read(s3, repo, key) == read(s3, f"{made}.{repo}", key) == key.encode()
    assert keys(s3, repo) == [key]
    s3.delete_object(Bucket=repo, Key=key)
    assert keys(s3, repo) == []


def test_a_file_and_a_directory_of_the_same_name(s3: Any, repo: str) -> None:
    """``a``, ``a/`` and ``a/b`` are three objects."""
    for key in ("a", "a/", "a/b"):
        s3.put_object(Bucket=repo, Key=key, Body=key.encode())
    assert {key: read(s3, repo, key) for key in keys(s3, repo)} == {"a": b"a", "a/": b"a/", "a/b": b"a/b"}
    page = s3.list_objects_v2(Bucket=repo, Delimiter="/")
    assert [each["Key"] for each in page["Contents"]] == ["a"]
    assert [each["Prefix"] for each in page["CommonPrefixes"]] == ["a/"]


def test_an_objects_own_time_and_tag(s3: Any, repo: str) -> None:
    """LastModified is when that very object was written, whatever is committed later, and ETags are MD5."""
    begun = datetime.now(UTC) - timedelta(seconds=2)
    first = s3.put_object(Bucket=repo, Key="a", Body=b"1", ContentType="text/plain; charset=utf-8")
    modified = s3.head_object(Bucket=repo, Key="a")["LastModified"]
    assert begun <= modified <= datetime.now(UTC)
    assert first["ETag"] == '"c4ca4238a0b923820dcc509a6f75849b"'
    time.sleep(1.1 - datetime.now(UTC).microsecond / 1e6)  # into the next second, which the header shows
    last = s3.put_object(Bucket=repo, Key="b", Body=b"1")["VersionId"]
    for bucket, options in ((repo, {}), (repo, {"VersionId": last}), (f"{last}.{repo}", {})):
        head = s3.head_object(Bucket=bucket, Key="a", **options)
        assert (head["LastModified"], head["ContentType"]) == (modified, "text/plain; charset=utf-8")
    assert s3.list_objects_v2(Bucket=repo)["Contents"][0]["LastModified"].replace(microsecond=0) == modified


def test_more_objects_than_a_page(s3: Any, repo: str, native: Native) -> None:
    """1001 objects and a directory with ten, in one commit, are listed page by page in every way."""
    native.start(repo)
    names = [f"{number:04}" for number in range(1001)]
    with requests.Session() as session:
        url = s3.meta.endpoint_url
        for name in (*names, *(f"dir/{number}" for number in range(10))):
            assert session.put(f"{url}/{repo}/{name}", data=name.encode(), timeout=10).status_code == 200
    assert keys(s3, repo) == []
    native.finish(repo)
    made = native.call("GET", f"{repo}/branches/master")["head"]["id"]
    for bucket in (repo, f"{made}.{repo}", f"{made}.master.{repo}"):
        for name in ("list_objects", "list_objects_v2"):
            pages = list(s3.get_paginator(name).paginate(Bucket=bucket, Delimiter="/"))
            assert [each["Key"] for page in pages for each in page.get("Contents", [])] == names
            assert [each["Prefix"] for page in pages for each in page.get("CommonPrefixes", [])] == ["dir/"]
            assert len(pages) == 2
        assert keys(s3, bucket, Prefix="00") == [name for name in names if name.startswith("00")]
        assert len(keys(s3, bucket, Prefix="dir/")) == 10
        assert keys(s3, bucket, StartAfter="0998") == ["0999", "1000", *(f"dir/{number}" for number in range(10))]


# --- minio ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def minio(server: ServerProcess) -> Minio:
    """Minio's client, with any key."""
    assert server.repos_url is not None
    return Minio(server.repos_url.removeprefix("http://"), "token", "token", secure=False)


def test_minio(minio: Minio) -> None:
    """The list of what Pachyderm tried with this client: objects, buckets, prefixes, versions, removal."""
    repo = new_name().replace("_", "-")
    minio.make_bucket(f"master.{repo}")
    assert not minio.bucket_exists(f"dev.{repo}")
    minio.make_bucket(f"dev.{repo}")
    minio.make_bucket(f"other.{repo}", location="us-west-1")
    assert minio.bucket_exists(f"dev.{repo}")
    with pytest.raises(Exception, match="The bucket you tried to create already exists, and you own it"):
        minio.make_bucket(f"dev.{repo}")
    names = [bucket.name for bucket in minio.list_buckets() if repo in bucket.name]
    assert names == [f"dev.{repo}", f"master.{repo}", f"other.{repo}"]
    bucket = f"dev.{repo}"
    for key in ("rootdir/subdir/1", "rootdir/subdir/2", "rootdir/x", "r"):
        minio.put_object(bucket, key, io.BytesIO(b"first"), 5)
    first = minio.put_object(bucket, "s", io.BytesIO(b"first"), 5)
    second = minio.put_object(bucket, "s", io.BytesIO(b"second"), 6)
    assert minio.get_object(bucket, "s").data == b"second"
    assert minio.get_object(bucket, "s", version_id=first.version_id).data == b"first"
    assert minio.stat_object(bucket, "s").version_id == second.version_id

    def listed(prefix: str, *, recursive: bool = True, where: str = bucket) -> list[str | None]:
        return [each.object_name for each in minio.list_objects(where, prefix, recursive=recursive)]

    every = ["r", "rootdir/subdir/1", "rootdir/subdir/2", "rootdir/x", "s"]
    assert listed("") == every
    assert listed("r") == every[:4]
    assert listed("rootdir/") == every[1:4]
    assert listed("rootdir/s") == listed("rootdir/subdir") == listed("rootdir/subdir/") == every[1:3]
    assert listed("rootdir/subdir/1") == every[1:2]
    assert sorted(str(each) for each in listed("", recursive=False)) == ["r", "rootdir/", "s"]
    assert listed("", where=f"other.{repo}") == []
    assert listed("", where=f"{first.version_id}.{bucket}") == every
    minio.copy_object(f"other.{repo}", "copy", CopySource(bucket, "s", version_id=first.version_id))
    assert minio.get_object(f"other.{repo}", "copy").data == b"first"
    minio.remove_object(bucket, "s")
    minio.remove_object(bucket, "s")
    with pytest.raises(Exception, match="NoSuchKey"):
        minio.get_object(bucket, "s")
    assert list(minio.remove_objects(bucket, [DeleteObject(key) for key in every])) == []
    minio.remove_bucket(bucket)
    assert not minio.bucket_exists(bucket)
    with pytest.raises(Exception, match="NoSuchBucket"):
        minio.get_object(f"nope.{repo}", "s")


def test_a_large_object(minio: Minio, s3: Any, repo: str) -> None:
    """65 MiB and some go in by parts, as one commit, and come out as they were; into nothing they do not go."""
    data = b"0123456789abcdef" * (68_157_450 // 16)
    with pytest.raises(Exception, match="NoSuchBucket"):
        minio.put_object(f"nope.{repo}", "large", io.BytesIO(data), len(data), part_size=16 * MIB)
    with pytest.raises(Exception, match="NoSuchBucket"):
        minio.get_object(f"nope.{repo}", "large")
    written = minio.put_object(repo, "large", io.BytesIO(data), len(data), part_size=16 * MIB)
    answer = minio.get_object(repo, "large")
    assert answer.data == data
    assert len(s3.list_object_versions(Bucket=repo)["Versions"]) == 1
    assert s3.head_object(Bucket=f"{written.version_id}.{repo}", Key="large")["ContentLength"] == len(data)
    assert s3.get_object(Bucket=repo, Key="large", Range="bytes=16-31")["Body"].read() == data[:16]


# --- what is not done -------------------------------------------------------------------------------------------------


def test_unsupported_operations(server: ServerProcess, repo: str) -> None:
    """Each operation that the documentation says is unsupported answers NotImplemented, or is done by now."""
    bucket, key = f"{server.repos_url}/{repo}", f"{server.repos_url}/{repo}/a"
    requests.put(key, data=b"1", timeout=10).raise_for_status()
    of_buckets = {
        "accelerate": "GP", "analytics": "GPD", "cors": "GPD", "encryption": "GPD", "inventory": "GPD",
        "lifecycle": "GPD", "logging": "GP", "metrics": "GPD", "notification": "GP", "object-lock": "GP",
        "policy": "GPD", "policyStatus": "G", "publicAccessBlock": "GPD", "replication": "GPD", "requestPayment": "GP",
        "website": "GPD", "acl": "GP",
    }  # fmt: skip
    of_objects = {"acl": "GP", "legal-hold": "GP", "retention": "GP", "torrent": "G"}
    methods = {"G": "GET", "P": "PUT", "D": "DELETE"}
    for url, operations in ((bucket, of_buckets), (key, of_objects)):
        for name, letters in operations.items():
            for letter in letters:
                of_one = "&id=x" if name in {"analytics", "inventory", "metrics"} else ""
                answer = requests.request(methods[letter], f"{url}?{name}{of_one}", timeout=10)
                assert (answer.status_code, "<Code>NotImplemented</Code>" in answer.text) == (501, True), (letter, name)
                assert answer.headers["content-type"] == "application/xml"
                assert "<RequestId>" in answer.text
    form = requests.post(bucket, files={"file": ("a", b"1")}, data={"key": "a"}, timeout=10)
    assert (form.status_code, "NotImplemented" in form.text) == (501, True)
    for query in ("restore", "select&select-type=2"):
        answer = requests.post(f"{key}?{query}", timeout=10)
        assert (answer.status_code, "NotImplemented" in answer.text) == (501, True), query


def test_errors_are_documents(server: ServerProcess, repo: str) -> None:
    """An error is a document with code, message, resource and the id of the request."""
    answer = requests.get(f"{server.repos_url}/master.nope/k", timeout=10)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/xml"
    request_id = answer.headers["x-amz-request-id"]
    for part in (
        "<Code>NoSuchBucket</Code>",
        "<Message>The specified bucket does not exist.</Message>",
        "<Resource>/master.nope/k</Resource>",
        f"<RequestId>{request_id}</RequestId>",
    ):
        assert part in answer.text


def test_bad_requests(s3: Any, server: ServerProcess, repo: str) -> None:
    """What a client does wrong is told by its right name, and nothing is committed."""
    url = f"{server.repos_url}/{repo}"
    for method, path, options, expected in (
        ("PUT", "/k", {"data": b"1", "headers": {"Content-MD5": "x"}}, (400, "InvalidDigest")),
        ("PUT", "/k", {"data": b"1", "headers": {"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}}, (400, "BadDigest")),
        ("GET", "?max-keys=x", {}, (400, "InvalidArgument")),
        ("POST", "?delete", {"data": "<x"}, (400, "MalformedXML")),
        ("POST", "/k?uploadId=nope", {"data": "<CompleteMultipartUpload/>"}, None),
        ("PUT", "/k?uploadId=nope&partNumber=1", {"data": b"1"}, (404, "NoSuchUpload")),
        ("DELETE", "/k?uploadId=nope", {}, (404, "NoSuchUpload")),
        ("PUT", "/k", {"headers": {"x-amz-copy-source": f"/{repo}/nope"}}, (404, "NoSuchKey")),
        ("PUT", "/k", {"headers": {"x-amz-copy-source": "/nope.nope/k"}}, (404, "NoSuchBucket")),
        ("PUT", "/k", {"headers": {"x-amz-copy-source": "/a.b.c.d/k"}}, (400, "InvalidBucketName")),
        ("GET", "/k?versionId=", {}, (400, "InvalidArgument")),
    ):
        answer = requests.request(method, f"{url}{path}", timeout=10, **options)
        assert 400 <= answer.status_code < 500, (path, answer.text)
        if expected is not None:
            assert (answer.status_code, f"<Code>{expected[1]}</Code>" in answer.text) == (expected[0], True), (
                answer.text
            )
    assert keys(s3, repo) == []
    with pytest.raises(ClientError) as raised:
        s3.copy_object(Bucket=repo, Key="a", CopySource={"Bucket": repo, "Key": "a"})
    assert code(raised)[0] in {400, 404}
