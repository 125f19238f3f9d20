"""Bringing a bucket into a branch by reference: nothing is copied, and nothing that has changed is served as it was."""

from __future__ import annotations

from typing import Any

import requests

from tests.remote.conftest import Pair, new_name

KIB = 1024
MIB = 1024 * KIB
SECONDS = 60.0
BIG = bytes(range(256)) * (4 * 9 * KIB)  # more than one chunk


def call(pair: Pair, method: str, path: str, document: Any = None) -> Any:
    """The answer of the REST API."""
    answer = pair.http.request(method, f"{pair.ours.url}/v2/projects/default{path}", json=document, timeout=SECONDS)
    assert answer.ok, answer.text
    return answer.json() if answer.content else None


def make_repo(pair: Pair) -> str:
    """A repository with an empty branch master."""
    name = new_name()
    call(pair, "POST", "/repos", {"name": name})
    call(pair, "PUT", f"/repos/{name}/branches/master", {})
    return name


def bring_in(pair: Pair, repo: str, uri: str, path: str = "") -> Any:
    """Imports into master."""
    return call(pair, "POST", f"/repos/{repo}/import", {"uri": uri, "branch": "master", "path": path})


def test_a_remote_bucket_is_brought_in_without_reading_it(pair: Pair, bucket: str) -> None:
    """Its objects are in one commit, under their names in the folder that was named; they are read at the remote when
    somebody reads them here, in part too, and copied as any.
    """
    for key, body in (("data/a", b"small"), ("data/b", BIG), ("other", b"not this")):
        pair.s3_there.put_object(Bucket=bucket, Key=key, Body=body)
    repo = make_repo(pair)
    bring_in(pair, repo, f"s3://{bucket}/data/", "raw/")
    branch = f"master.{repo}"
    versions = pair.s3.list_object_versions(Bucket=branch)["Versions"]
    assert [(each["Key"], each["Size"]) for each in versions] == [("raw/a", 5), ("raw/b", len(BIG))]
    assert len({each["VersionId"] for each in versions}) == 1
    assert not pair.is_cached(bucket, "data/a")
    assert pair.s3.get_object(Bucket=branch, Key="raw/a")["Body"].read() == b"small"
    part = pair.s3.get_object(Bucket=branch, Key="raw/b", Range=f"bytes={8 * MIB - 5}-{8 * MIB + 4}")
    assert part["Body"].read() == BIG[8 * MIB - 5 : 8 * MIB + 5]
    assert pair.s3.get_object(Bucket=branch, Key="raw/b")["Body"].read() == BIG
    pair.s3.copy_object(Bucket=branch, Key="copy", CopySource=f"{branch}/raw/b")
    assert pair.s3.get_object(Bucket=branch, Key="copy")["Body"].read() == BIG


def test_what_has_changed_there_is_not_served(pair: Pair, bucket: str) -> None:
    """An object that was written again, or deleted, at the remote is an error here, and no bytes of another one."""
    for key in ("changed", "gone", "kept"):
        pair.s3_there.put_object(Bucket=bucket, Key=key, Body=b"before")
    repo = make_repo(pair)
    bring_in(pair, repo, f"s3://{bucket}")
    pair.s3_there.put_object(Bucket=bucket, Key="changed", Body=b"after!")
    pair.s3_there.delete_object(Bucket=bucket, Key="gone")
    for key in ("changed", "gone"):
        url = f"{pair.ours.url}/s3/master.{repo}/{key}"
        try:
            answer = requests.get(url, timeout=SECONDS)
        except requests.ConnectionError:
            continue  # the answer had begun
        assert answer.status_code == 409, answer.text
        assert "<Code>SourceChanged</Code>" in answer.text
    assert pair.s3.get_object(Bucket=f"master.{repo}", Key="kept")["Body"].read() == b"before"


def test_our_own_bucket_is_brought_in(pair: Pair) -> None:
    """Objects of ours share their bytes, with all that was said of them; they stay when the bucket goes."""
    bucket, repo = new_name(), make_repo(pair)
    pair.s3.create_bucket(Bucket=bucket)
    pair.s3.put_object(Bucket=bucket, Key="k", Body=BIG, ContentType="text/x", Metadata={"a": "b"}, Tagging="c=d")
    bring_in(pair, repo, f"ais://{bucket}")
    pair.s3.delete_object(Bucket=bucket, Key="k")
    pair.s3.delete_bucket(Bucket=bucket)
    found = pair.s3.get_object(Bucket=f"master.{repo}", Key="k")
    assert (found["Body"].read(), found["ContentType"], found["Metadata"]) == (BIG, "text/x", {"a": "b"})
    tags = pair.s3.get_object_tagging(Bucket=f"master.{repo}", Key="k")["TagSet"]
    assert tags == [{"Key": "c", "Value": "d"}]


def test_an_import_that_fails_leaves_nothing(pair: Pair) -> None:
    """A bucket that is not there, or a name that gets too long: the branch is as it was, and can be written."""
    bucket, repo = new_name(), make_repo(pair)
    pair.s3.create_bucket(Bucket=bucket)
    pair.s3.put_object(Bucket=bucket, Key="k" * 1000, Body=b"x")
    path = f"{pair.ours.url}/v2/projects/default/repos/{repo}/import"
    for uri, prefix, status in ((f"ais://{new_name()}", "", 404), (f"ais://{bucket}", "p" * 100, 400)):
        document = {"uri": uri, "branch": "master", "path": prefix}
        answer = pair.http.post(path, json=document, timeout=SECONDS)
        assert answer.status_code == status, answer.text
    assert "Contents" not in pair.s3.list_objects_v2(Bucket=f"master.{repo}")
    assert call(pair, "GET", f"/repos/{repo}/commits")["items"] == []
    pair.s3.put_object(Bucket=f"master.{repo}", Key="k", Body=b"x")
