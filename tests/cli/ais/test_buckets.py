"""Buckets by ``ais``: making, listing, configuring, summing up and removing them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.ais.command import Ais
from tidegate.testing import serve

CREATED = '"{}" created (see https://github.com/NVIDIA/aistore/blob/main/docs/bucket.md#default-bucket-properties)\n'


def test_the_story_of_a_bucket(tmp_path: Path) -> None:
    """On a server of its own: nothing, some buckets, another provider's, and nothing again, as the guides print it."""
    with serve(repos_port=None) as server:
        ais = Ais(server, tmp_path, {})
        assert ais("ls", "ais:").output == ""
        assert ais("ls", "ais://").output == "AIS Buckets (0)\n"
        assert ais("ls").output == "No buckets in the cluster.\n"
        assert ais("create", "ais://abc").output == CREATED.format("ais://abc")
        assert ais("bucket", "create", "ais://mmm/", "ais://#ml/abc").output == (
            CREATED.format("ais://mmm") + CREATED.format("ais://#ml/abc")
        )
        assert ais("ls", "ais:").output == "AIS Buckets (3)\n  ais://abc\n  ais://mmm\n  ais://#ml/abc\n"
        assert ais("bucket", "ls", "ais://").output == ais("ls", "ais:").output
        ais("create", "s3://cloud", "--skip-lookup")
        assert ais("ls", "s3:").output == "aws://cloud\n"
        assert ais("ls").output.endswith("AWS Buckets (1)\n  aws://cloud\n")
        assert ais("ls", "gs:").output == ""
        assert {"name": "cloud", "provider": "aws", "namespace": {"uuid": "", "name": ""}} in ais("ls", "--json").json
        assert ais("evict", "s3://cloud").output == '"s3://cloud" bucket evicted\n'
        assert ais("rmb", "ais://abc").output == '"ais://abc" destroyed\n'
        assert "--yes" in ais("rmb", "--all", code=1).error
        assert ais("rmb", "--all", "--yes").output.count("destroyed") == 2
        assert ais("rmb", "--all", "--yes").output == "No AIS buckets to remove\n"


def test_a_bucket_that_is_there(ais: Ais, bucket: str) -> None:
    """A second bucket of the name is an error, unless errors are to be ignored."""
    assert ais.fails("create", bucket) == f'bucket "{bucket}" already exists'
    assert ais("create", bucket, "--ignore-error").output == f'Bucket "{bucket}" already exists\n'


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("create", "cloud://x"), 'invalid backend provider "cloud"'),
        (("create", "x"), 'backend provider cannot be empty (did you mean "ais://x"?)'),
        (("create", "ais://"), '"ais://" does not name a bucket'),
        (("show", "bucket", "ais://nobody"), 'bucket "ais://nobody" does not exist'),
        (("ls", "ais://nobody"), 'bucket "ais://nobody" does not exist'),
        (("bucket", "rm", "ais://nobody"), 'bucket "ais://nobody" does not exist'),
        (("bucket", "props", "set", "ais://nobody", "checksum.type=md5"), 'bucket "ais://nobody" does not exist'),
        (("bucket", "summary", "ais://nobody"), 'bucket "ais://nobody" does not exist'),
    ],
)
def test_what_is_no_bucket(ais: Ais, command: tuple[str, ...], said: str) -> None:
    """What cannot be done is said as AIStore says it, with exit code 1."""
    assert ais.fails(*command) == said


def test_properties_at_creation(ais: Ais, bucket: str) -> None:
    """--props, or in the older guide --bucket-props, sets properties, and the line is shorter."""
    for number, option in enumerate(("--props", "--bucket-props")):
        uri = f"{bucket}-{number}"
        assert ais("create", uri, f"{option}=checksum.type=md5 mirror.copies=2").output == f'"{uri}" created\n'
        assert ["checksum", "Type:", "md5", "|", "Validate:", "ColdGET"] in ais("show", "bucket", uri).rows
    assert "checksum" in ais.fails("create", f"{bucket}-x", "--props", "checksum.type=nonsense")


def test_setting_properties(ais: Ais, bucket: str) -> None:
    """A change is told with what was before; the same again is nothing to do; all spellings mean the same."""
    set_ = 'Bucket props successfully updated\n"checksum.type" set to: "{}" (was: "{}")\n'
    assert ais("bucket", "props", "set", bucket, "checksum.type=md5").output == set_.format("md5", "xxhash")
    nothing = f'Bucket "{bucket}" already has the same values of props, nothing to do\n'
    assert ais("bucket", "props", bucket, "checksum.type=md5").output == nothing
    assert ais("bucket", "props", bucket, "checksum.type", "sha256").output == set_.format("sha256", "md5")
    assert ais("bucket", "props", "set", bucket, '{"checksum": {"type": "none"}}').output == set_.format(
        "none", "sha256"
    )
    assert ais("bucket", "props", "reset", bucket).output == "Bucket props successfully reset to cluster defaults\n"
    assert ais("bucket", "props", "show", bucket, "checksum.type").rows[1:] == [["checksum.type", "xxhash"]]


def test_access(ais: Ais, bucket: str) -> None:
    """Permissions are set by their aliases and shown by their names; they bind."""
    said = ais("bucket", "props", bucket, "access", "ro").output
    assert '"access" set to: "GET,HEAD-OBJECT,HEAD-BUCKET,LIST-OBJECTS" (was: "GET,HEAD-OBJECT,PUT,' in said
    assert ais("bucket", "props", bucket, "access").rows == [
        ["PROPERTY", "VALUE"],
        ["access", "GET,HEAD-OBJECT,HEAD-BUCKET,LIST-OBJECTS"],
    ]
    assert "PUT access denied" in ais.fails("put", "-", f"{bucket}/x", typed=b"x")


def test_a_backend(ais: Ais, bucket: str) -> None:
    """A bucket's backend is set by its URI, and detached by none."""
    name = bucket.removeprefix("ais://")
    ais("create", f"s3://{name}-cloud", "--skip-lookup")
    assert ais("bucket", "props", bucket, f"backend_bck=aws://{name}-cloud").output.splitlines()[1:] == [
        f'"backend_bck.name" set to: "{name}-cloud" (was: "")',
        '"backend_bck.provider" set to: "aws" (was: "")',
        '"lru.enabled" set to: "true" (was: "false")',  # what the provider keeps may be evicted
    ]
    assert ["backend_bck", f"s3://{name}-cloud"] in ais("show", "bucket", bucket).rows
    ais("bucket", "props", bucket, "backend_bck=none")
    assert "backend_bck" not in ais("show", "bucket", bucket).output


def test_properties_that_are_none(ais: Ais, bucket: str) -> None:
    """A wrong name is told, with the right one."""
    said = ais.fails("bucket", "props", bucket, "checksum.typ=md5")
    assert said == 'unknown property "checksum.typ"\n(Hint: Did you mean "checksum.type"?)'
    said = ais.fails("bucket", "props", "show", bucket, "checksums")
    assert said == 'invalid property "checksums"\n(Hint: Did you mean "checksum"?)'
    assert ais.fails("bucket", "props", bucket, "provider=aws") == 'property "provider" is readonly'
    assert "cannot be set" in ais.fails("bucket", "props", bucket, "ec.enabled=true")


def test_showing_properties(ais: Ais, bucket: str) -> None:
    """In few lines, all by their names, or as JSON."""
    short = ais("show", "bucket", bucket)
    assert short.rows[0] == ["PROPERTY", "VALUE"]
    assert {"access", "checksum", "created", "lru", "mirror", "provider", "versioning"} <= {
        row[0] for row in short.rows
    }
    assert ais("bucket", "show", bucket, "--compact").output == short.output
    assert ais("bucket", "props", bucket).output == short.output
    assert ["checksum.type", "xxhash"] in ais("show", "bucket", bucket, "--all").rows
    assert ais("bucket", "show", bucket, "versioning", "--json").json["versioning"]["enabled"] is True
    assert ais("show", "bucket", bucket, "-H").rows == short.rows[1:]


def test_summaries(ais: Ais, bucket: str) -> None:
    """How many objects, and how large the smallest, the average, the largest, and all of them are."""
    for name, size in (("a", 1024), ("dir/b", 3072)):
        ais("put", "-", f"{bucket}/{name}", typed=bytes(size))
    rows = [bucket, "2", "0", "1.00KiB", "2.00KiB", "3.00KiB", "4.00KiB", "0B", "0%"]
    assert ais("bucket", "summary", bucket, "-H").rows == [rows]
    assert rows in ais("ls", "ais:", "--summary").rows
    assert ais("bucket", "summary", f"{bucket}/dir/", "-H").rows[0][1:4] == ["1", "0", "3.00KiB"]
    assert ais("bucket", "summary", bucket, "--json").json[0]["ObjCount"]["obj_count_present"] == 2


def test_removing_a_bucket_that_has_objects(ais: Ais, bucket: str) -> None:
    """Who can be asked is asked; a script means what it says."""
    ais("put", "-", f"{bucket}/x", typed=b"x")
    asked = ais.on_terminal("bucket", "rm", bucket, typed=b"n\n")
    assert asked.code == 0
    assert "is not empty" in asked.output
    assert "Operation canceled." in asked.output
    assert ais("ls", bucket, "--name-only", "-H").output == "x\n"
    assert ais("bucket", "rm", bucket).output == f'"{bucket}" destroyed\n'
    assert "does not exist" in ais("bucket", "rm", bucket, "--ignore-error").error
