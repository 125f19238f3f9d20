"""Jobs over buckets that another provider keeps: copying, deleting, archiving; and reading many objects at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aistore.sdk import Bucket
from aistore.sdk.errors import AISError

from tests.ais.helpers import contents, finish, put, read
from tests.archives import FORMATS, archive, unpacked
from tests.cli.ais.command import Ais
from tests.durability.folder import query
from tests.remote.conftest import Pair, new_name

MIB = 1024 * 1024
CONTENTS = {"a/1": b"one", "a/2": b"", "b": b"b" * 100_000, "n-1": b"1", "n-2": b"2", "n-3": b"3"}
LARGE = bytes(range(256)) * 40_000  # more than a chunk


def fill_there(pair: Pair, name: str, objects: dict[str, bytes] = CONTENTS) -> None:
    """Puts objects to the remote, without us."""
    for key, content in objects.items():
        pair.s3_there.put_object(Bucket=name, Key=key, Body=content, Metadata={"key": key.replace("/", "-")})


def keys_there(pair: Pair, name: str) -> set[str]:
    """What the remote has."""
    return {entry["Key"] for entry in pair.s3_there.list_objects_v2(Bucket=name).get("Contents", ())}


@pytest.fixture
def theirs_too(pair: Pair) -> str:
    """Another bucket of the remote's."""
    return pair.create(new_name())


@pytest.fixture
def filled(pair: Pair, bucket: str) -> Bucket:
    """A bucket of the remote's with a few objects."""
    fill_there(pair, bucket)
    return pair.sdk.bucket(bucket, provider="aws")


@pytest.fixture
def mine(pair: Pair) -> Bucket:
    """A bucket of our own."""
    return pair.sdk.bucket(new_name()).create()


def done(pair: Pair, *jobs: str) -> Any:
    """How the last of some jobs went, which all ended well."""
    for job in jobs:
        result = finish(pair.sdk.job(job))
        assert result, result.error
    return pair.sdk.job(jobs[-1]).get_details().list_snapshots()[0]


# --- copying ---------------------------------------------------------------------------------------------------------


def test_a_remote_bucket_is_copied_to_ours(pair: Pair, filled: Bucket) -> None:
    """All objects come with their metadata, into a bucket that is made for it and stays when the remote's go."""
    fill_there(pair, filled.name, {"large": LARGE})
    goal = pair.sdk.bucket(new_name())
    snapshot = done(pair, filled.copy(goal))
    assert contents(goal) == {**CONTENTS, "large": LARGE}
    assert snapshot.stats.objects == len(CONTENTS) + 1
    assert snapshot.stats.bytes == sum(map(len, CONTENTS.values())) + len(LARGE)
    assert pair.s3.head_object(Bucket=goal.name, Key="a/1")["Metadata"] == {"key": "a-1"}
    properties = pair.http.head(f"{pair.ours.url}/v1/buckets/{goal.name}").headers["ais-bucket-props"]
    assert pair.endpoint not in properties
    assert json.loads(properties)["lru"]["enabled"] is False
    done(pair, pair.act("DELETE", filled.name, "delete-listrange", {"template": ""}).text)
    done(pair, pair.act("DELETE", filled.name, "evict-listrange", {"template": ""}).text)
    assert contents(goal) == {**CONTENTS, "large": LARGE}


def test_a_copy_of_what_is_cached_has_bytes_of_its_own(pair: Pair, filled: Bucket, mine: Bucket) -> None:
    """What is cached may be lost with the power; a copy in a bucket of ours may not, so it does not share its bytes."""
    assert read(filled, "b") == CONTENTS["b"]
    pair.wait_until_cached(filled.name, "b")
    pair.s3.copy_object(Bucket=mine.name, Key="b", CopySource={"Bucket": filled.name, "Key": "b"})
    upload_id = pair.s3.create_multipart_upload(Bucket=mine.name, Key="part")["UploadId"]
    source = {"Bucket": filled.name, "Key": "b"}
    pair.s3.upload_part_copy(Bucket=mine.name, Key="part", UploadId=upload_id, PartNumber=1, CopySource=source)
    shared = f"""
        SELECT b.refs FROM head h JOIN buckets k ON k.log = h.log JOIN blobs b ON b.id = h.blob
        WHERE k.name = '{filled.name}'"""
    assert query(pair.ours.data, shared) == [(1,)]
    assert read(mine, "b") == CONTENTS["b"]


def test_our_bucket_is_copied_to_a_remote(pair: Pair, bucket: str, mine: Bucket) -> None:
    """The remote has what we had under a prefix, by the new names, and is not sent more."""
    for key, content in CONTENTS.items():
        put(mine, key, content)
    goal = pair.sdk.bucket(bucket, provider="aws")
    done(pair, mine.copy(goal, prefix_filter="n-", prepend="p/"))
    assert {key: pair.there(bucket, key) for key in keys_there(pair, bucket)} == {
        f"p/{key}": content for key, content in CONTENTS.items() if key.startswith("n-")
    }


def test_a_remote_bucket_is_copied_to_a_remote(pair: Pair, filled: Bucket, theirs_too: str) -> None:
    """Names and ranges arrive at the other bucket, and what is in no range is no error."""
    goal = pair.sdk.bucket(theirs_too, provider="aws")
    done(pair, *filled.objects(obj_names=["a/1", "b"]).copy(goal))
    done(pair, *filled.objects(obj_template="n-{2..9}").copy(goal, prepend="x-"))
    assert {key: pair.there(theirs_too, key) for key in keys_there(pair, theirs_too)} == {
        "a/1": b"one", "b": CONTENTS["b"], "x-n-2": b"2", "x-n-3": b"3",
    }  # fmt: skip


def test_objects_are_copied_within_a_remote_bucket(pair: Pair, filled: Bucket) -> None:
    """Named objects get copies under other names; a prefix would meet its own copies, and is refused."""
    done(pair, *filled.objects(obj_names=["a/1", "n-1"]).copy(filled, prepend="copy/"))
    assert pair.there(filled.name, "copy/a/1") == b"one"
    assert keys_there(pair, filled.name) == {*CONTENTS, "copy/a/1", "copy/n-1"}
    with pytest.raises(AISError, match="name the objects"):
        filled.objects(obj_template="a/").copy(filled, prepend="a/")


@pytest.mark.parametrize("how", ["names", "prefix"])
def test_a_dry_run_counts(pair: Pair, filled: Bucket, how: str) -> None:
    """What would be copied is counted, and nothing is there afterwards, not even the bucket."""
    goal = pair.sdk.bucket(new_name())
    group = filled.objects(obj_names=["a/1", "b"]) if how == "names" else filled.objects(obj_template="n-")
    snapshot = done(pair, *group.copy(goal, dry_run=True))
    assert (snapshot.stats.objects, snapshot.stats.bytes) == ((2, 100_003) if how == "names" else (3, 3))
    assert goal.name not in {bucket.name for bucket in pair.sdk.cluster().list_buckets(provider="ais")}


def test_a_name_that_is_not_there(pair: Pair, filled: Bucket, mine: Bucket) -> None:
    """It ends the copy, which says so; if the copy shall go on, the rest arrives."""
    (job,) = filled.objects(obj_names=["missing"]).copy(mine)
    result = finish(pair.sdk.job(job))
    assert not result
    assert f"{filled.name}/missing" in (result.error or "")
    (job,) = filled.objects(obj_names=["a/1", "missing", "n-1"]).copy(mine, continue_on_error=True)
    finish(pair.sdk.job(job))
    assert set(contents(mine)) == {"a/1", "n-1"}
    assert "1 of the objects failed" in pair.sdk.job(job).status().err


def test_a_bucket_that_shows_a_remote_one_is_copied(pair: Pair, filled: Bucket) -> None:
    """Its copy is a bucket of ours that shows nobody's."""
    shown = pair.sdk.bucket(new_name()).create()
    changes = {"backend_bck": {"name": filled.name, "provider": "aws"}}
    assert pair.act("PATCH", shown.name, "set-bprops", changes, "ais").status_code == 200
    goal = pair.sdk.bucket(new_name())
    done(pair, shown.copy(goal))
    assert contents(goal) == CONTENTS
    put(goal, "new", b"new")
    assert "new" not in keys_there(pair, filled.name)


# --- deleting --------------------------------------------------------------------------------------------------------


def test_a_group_is_deleted_at_the_remote(pair: Pair, filled: Bucket) -> None:
    """Names, ranges and prefixes go at the remote and here; what is not there is no error."""
    assert read(filled, "n-1") == b"1"
    done(pair, filled.objects(obj_names=["b", "missing"]).delete())
    done(pair, filled.objects(obj_template="n-{1..2}").delete())
    assert keys_there(pair, filled.name) == {"a/1", "a/2", "n-3"}
    done(pair, filled.objects(obj_template="a/").delete())
    assert keys_there(pair, filled.name) == {"n-3"}
    assert {entry.name for entry in filled.list_all_objects()} == {"n-3"}


# --- archives --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_remote_objects_are_archived(pair: Pair, filled: Bucket, mine: Bucket, kind: str) -> None:
    """An archive of ours has the objects of a prefix, of a list, and larger ones than a chunk."""
    fill_there(pair, filled.name, {"large": LARGE})
    done(pair, *filled.objects(obj_template="n-").archive(f"prefix.{kind}", to_bck=mine))
    done(pair, *filled.objects(obj_names=["large", "a/1"]).archive(f"names.{kind}", to_bck=mine))
    assert unpacked(kind, read(mine, f"prefix.{kind}")) == [("n-1", b"1"), ("n-2", b"2"), ("n-3", b"3")]
    assert unpacked(kind, read(mine, f"names.{kind}")) == [("large", LARGE), ("a/1", b"one")]
    with pytest.raises(AISError, match="not implemented"):
        filled.objects(obj_names=["a/1"]).archive(f"there.{kind}")


@pytest.mark.parametrize("kind", FORMATS)
def test_files_of_a_remote_archive_are_read(pair: Pair, bucket: str, kind: str) -> None:
    """A file of an archive that is not here, and the names of all in a listing."""
    fill_there(pair, bucket, {f"shard.{kind}": archive(kind, {"x/1": b"one", "x/2": LARGE})})
    remote = pair.sdk.bucket(bucket, provider="aws")
    assert read(remote, f"shard.{kind}", "x/2") == LARGE
    assert read(remote, f"shard.{kind}", "x/1") == b"one"
    listed = pair.listed(bucket, flags=str(1 << 3))
    assert set(listed) == {f"shard.{kind}", f"shard.{kind}/x/1", f"shard.{kind}/x/2"}


# --- many at once ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streaming", [True, False], ids=["stream", "parts"])
def test_a_batch_of_remote_objects(pair: Pair, filled: Bucket, mine: Bucket, *, streaming: bool) -> None:
    """Objects that are here and that are not, files of archives, ranges, and objects of ours, in the order asked."""
    shard = {"shard.tar": archive("tar", {"m/1": b"one", "m/2": b"two"}), "large": LARGE}
    fill_there(pair, filled.name, shard)
    assert read(filled, "n-2") == b"2"
    put(mine, "mine", b"mine")
    for _ in range(2):  # cold and warm
        batch = pair.sdk.batch(["b", "n-1", "n-2", "a/2", "large", "n-1"], bucket=filled, streaming_get=streaming)
        batch.add("shard.tar", archpath="m/2").add("shard.tar", archpath="m/1").add("missing")
        batch.add("large", start=9 * MIB, length=10).add("b", start=1, length=2).add(mine.object("mine"))
        found = list(batch.get())
        assert [content for _, content in found] == [
            CONTENTS["b"], b"1", b"2", b"", LARGE, b"1", b"two", b"one", b"", LARGE[9 * MIB : 9 * MIB + 10], b"bb",
            b"mine",
        ]  # fmt: skip
        assert [bool(out.err_msg) for out, _ in found] == [False] * 8 + [True] + [False] * 3


def test_a_batch_sees_what_was_written(pair: Pair, filled: Bucket) -> None:
    """What is written between two batches, through us or, where the bucket asks first, without, is in the second."""
    batch = pair.sdk.batch(["n-1", "n-2"], bucket=filled)
    assert [content for _, content in batch.get()] == [b"1", b"2"]
    put(filled, "n-1", b"mine")
    changes = {"versioning": {"validate_warm_get": True}}
    assert pair.act("PATCH", filled.name, "set-bprops", changes).status_code == 200
    pair.s3_there.put_object(Bucket=filled.name, Key="n-2", Body=b"theirs")
    batch = pair.sdk.batch(["n-1", "n-2"], bucket=filled)
    assert [content for _, content in batch.get()] == [b"mine", b"theirs"]


def test_a_batch_fetches_ahead(pair: Pair) -> None:
    """Objects that are not here are asked for side by side, each once, although they are sent one after the other."""
    with pair.between() as way:
        name = pair.create(new_name(), way.url)
        keys = [f"{number:03}" for number in range(40)]
        fill_there(pair, name, {key: key.encode() for key in keys})
        batch = pair.sdk.batch(keys, bucket=pair.sdk.bucket(name, provider="aws"))
        assert [content for _, content in batch.get()] == [key.encode() for key in keys]
        asked = [seen.target.rpartition("/")[2] for seen in way.seen if seen.method == "GET" and "?" not in seen.target]
        assert sorted(asked) == keys


def test_a_batch_without_an_object_ends(pair: Pair, filled: Bucket) -> None:
    """Where a batch does not go on, one that is missing at the remote is an error, and no archive."""
    message = {"in": [{"objname": "n-1"}, {"objname": "missing"}], "mime": ".tar", "coer": False, "strm": False}
    url = f"{pair.ours.url}/v1/ml/moss/{filled.name}?provider=aws"
    answer = pair.http.get(url, data=json.dumps(message))
    assert answer.status_code == 404
    assert f"s3://{filled.name}/missing" in answer.json()["message"]


# --- the command line ------------------------------------------------------------------------------------------------


def test_the_command_line_works_across_providers(pair: Pair, filled: Bucket, tmp_path: Path) -> None:
    """``ais`` copies from and to a provider's bucket, and renames, describes and removes what is in it."""
    ais = Ais(pair.ours, tmp_path, {"HOME": str(tmp_path)})
    theirs, ours = f"s3://{filled.name}", f"ais://{new_name()}"
    assert ais("cp", theirs, ours, "--wait").code == 0
    assert ais("object", "cat", f"{ours}/a/1").output == "one"
    assert ais("cp", ours, theirs, "--prefix", "n-", "--prepend", "back/", "--wait").code == 0
    assert pair.there(filled.name, "back/n-1") == b"1"
    assert ais("object", "mv", f"{theirs}/back/n-1", "moved").code == 0
    assert ais("object", "set-custom", f"{theirs}/moved", "label=x").code == 0
    assert pair.s3_there.head_object(Bucket=filled.name, Key="moved")["Metadata"]["label"] == "x"
    assert ais("object", "rm", theirs, "--prefix", "back/", "--wait", "-y").code == 0
    assert ais("object", "rm", theirs, "--list", "b,n-1", "--wait", "-y").code == 0
    assert keys_there(pair, filled.name) == {"a/1", "a/2", "n-2", "n-3", "moved"}
