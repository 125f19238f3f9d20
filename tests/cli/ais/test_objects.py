"""Objects by ``ais``: listing, showing, copying, renaming and removing them."""

from __future__ import annotations

import hashlib
import re

import pytest
import xxhash

from tests.cli.ais.command import Ais

NAMES = [*(f"a/{number:02}" for number in range(12)), "b", "c/d/e"]


@pytest.fixture
def full(ais: Ais, bucket: str) -> str:
    """A bucket with some objects."""
    for name in NAMES:
        path = ais.folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    ais("put", "in", bucket, "-r", "-y")
    return bucket


def names(ais: Ais, *arguments: str) -> list[str]:
    """The names in a listing."""
    return ais("ls", *arguments, "--name-only", "-H").output.splitlines()


def test_listing_objects(ais: Ais, full: str) -> None:
    """All objects, or those that begin so, come after a name, match, or are in a template."""
    assert names(ais, full) == NAMES
    assert names(ais, f"{full}/a/1") == names(ais, full, "--prefix", "a/1") == ["a/10", "a/11"]
    assert names(ais, full, "--start-after", "a/10") == ["a/11", "b", "c/d/e"]
    assert names(ais, full, "--limit", "3") == NAMES[:3]
    assert names(ais, full, "--page-size", "2") == NAMES
    assert names(ais, full, "--regex", "0[13]$") == ["a/01", "a/03"]
    assert names(ais, full, "--template", "a/{09..99}") == ["a/09", "a/10", "a/11"]
    assert names(ais, full, "--nr") == ["a/", "b", "c/"]
    assert ais("ls", full, "--count-only").output == "14\n"
    assert names(ais, full, "--cached") == NAMES
    assert ais("ls", full, "--not-cached").output == f"No objects in {full}\n"


def test_columns(ais: Ais, full: str) -> None:
    """The columns that were asked for, in that order, the name first."""
    assert ais("ls", f"{full}/b").rows == [["NAME", "SIZE"], ["b", "1B"]]
    found = ais("ls", f"{full}/b", "--props", "checksum,size,atime").output.splitlines()
    assert found[0].split() == ["NAME", "CHECKSUM", "SIZE", "ATIME"]
    assert re.fullmatch(rf"b +{xxhash.xxh64_hexdigest(b'b')} +1B +\d\d \w\w\w \d\d \d\d:\d\d UTC", found[1])
    assert ais("ls", full, "--props", "all").rows[0][:4] == ["NAME", "SIZE", "CHECKSUM", "ATIME"]
    assert "invalid property" in ais.fails("ls", full, "--props", "nonsense")
    assert ais("ls", f"{full}/c", "--units", "raw", "-H").rows == [["c/d/e", "5"]]


def test_a_listing_as_json(ais: Ais, full: str) -> None:
    """An array of objects, also where there are none."""
    assert ais("ls", f"{full}/b", "--json").json == [{"name": "b", "size": 1}]
    assert [each["name"] for each in ais("ls", full, "--json", "--page-size", "5").json] == NAMES
    assert ais("ls", f"{full}/zzz", "--json").json == []


def test_how_long_a_listing_was(ais: Ais, full: str) -> None:
    """A person sees how many there are; a program does not."""
    assert re.search(r"Listed 14 names \(elapsed \S+\)\n$", ais.on_terminal("ls", full).output)
    assert "Listed" not in ais.on_terminal("ls", full, "--no-footers").output
    assert "Listed" not in ais("ls", full).output


def test_a_listing_that_nobody_reads_on(ais: Ais, full: str) -> None:
    """A reader that goes away, as head does, is no error to print."""
    import subprocess

    from tests.cli.ais.command import _MAIN, environment

    process = subprocess.Popen(
        ["sh", "-c", f"{__import__('sys').executable} -c '{_MAIN}' ls {full} --page-size 1 | head -1"],
        env=environment(ais.server),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    output, error = process.communicate()
    assert output.split() == [b"NAME", b"SIZE"]
    assert error == b""


def test_showing_an_object(ais: Ais, bucket: str) -> None:
    """The table of the guides: sorted, the checksum cut to 16 digits."""
    ais("put", "-", f"{bucket}/x", typed=b"hello")
    ais("bucket", "props", bucket, "checksum.type=md5")
    ais("put", "-", f"{bucket}/y", typed=b"hello")
    md5 = hashlib.md5(b"hello").hexdigest()
    default = ais("object", "show", f"{bucket}/y").rows
    assert [row[0] for row in default] == ["PROPERTY", "atime", "checksum", "name", "size"]
    assert default[2:] == [["checksum", f"md5[{md5[:16]}...]"], ["name", f"{bucket}/y"], ["size", "5B"]]
    assert ["checksum", f"xxhash[{xxhash.xxh64_hexdigest(b'hello')}]"] in ais("show", "object", f"{bucket}/x").rows
    ais("object", "set-custom", f"{bucket}/y", "b=2", "a=1 und ü")
    everything = ais("show", "object", f"{bucket}/y", "--all").output
    assert [line.split()[0] for line in everything.splitlines()][1:] == [
        "atime", "cached", "checksum", "copies", "custom", "ec", "location", "name", "size", "version",
    ]  # fmt: skip
    assert "map[a:1 und ü b:2]" in everything
    assert ais("show", "object", f"{bucket}/y", "--props", "checksum", "--json").json == {"checksum": f"md5[{md5}]"}
    assert ais.fails("show", "object", f"{bucket}/z") == f'object "z" not found in {bucket}'
    assert "invalid property" in ais.fails("show", "object", f"{bucket}/y", "--props", "sizes")
    assert "does not name an object" in ais.fails("show", "object", bucket)


def test_custom_metadata(ais: Ais, bucket: str) -> None:
    """New metadata stands beside the old, or takes its place."""
    ais("put", "-", f"{bucket}/x", typed=b"x")

    def custom() -> str:
        return ais("show", "object", f"{bucket}/x", "--props", "custom", "-H").output.split(maxsplit=1)[1].strip()

    assert custom() == "-"
    assert ais("object", "set-custom", f"{bucket}/x", "a=1").output == "Custom props successfully updated\n"
    ais("object", "set-custom", f"{bucket}/x", '{"b": "2"}')
    assert custom() == "map[a:1 b:2]"
    ais("object", "set-custom", f"{bucket}/x", "c=3", "--set-new-custom")
    assert custom() == "map[c:3]"


def test_copying_and_renaming(ais: Ais, bucket: str) -> None:
    """An object is copied within a bucket and into another, and renamed; the content is the same."""
    other = f"{bucket}-other"
    ais("create", other)
    ais("put", "-", f"{bucket}/dir/x", typed=b"content")
    assert ais("object", "cp", f"{bucket}/dir/x", f"{bucket}/y").output == f"COPY {bucket}/dir/x => {bucket}/y\n"
    assert ais("cp", f"{bucket}/dir/x", other).output == f"COPY {bucket}/dir/x => {other}/x\n"
    assert ais("object", "cat", f"{other}/x").data == b"content"
    assert ais("object", "mv", f"{bucket}/y", "z").output == '"y" moved to "z"\n'
    assert ais("object", "mv", f"{bucket}/z", f"{bucket}/w").output == '"z" moved to "w"\n'
    assert names(ais, bucket) == ["dir/x", "w"]
    assert "ais object cp" in ais.fails("object", "mv", f"{bucket}/w", f"{other}/w")


def test_removing(ais: Ais, full: str) -> None:
    """Objects are removed by name; one that is not there is an error."""
    assert ais("object", "rm", f"{full}/b", f"{full}/a/00").output == (
        f'deleted "b" from {full}\ndeleted "a/00" from {full}\n'
    )
    assert "exist" in ais.fails("rmo", f"{full}/b")
    assert names(ais, full) == [name for name in NAMES if name not in {"b", "a/00"}]
    assert "--yes" in ais.fails("object", "rm", full, "--all")
    assert "exclude each other" in ais.fails("object", "rm", full, "--list", "a", "--prefix", "b")


@pytest.mark.parametrize("key", ["a b", "..", "a/../b", "./x", "//x", "50%", "q?#", "ü/日本", "-x", "a=b", "x\ny"])
def test_any_name(ais: Ais, bucket: str, key: str) -> None:
    """A name is a name, whatever is in it: it is not a path, nor part of a URL."""
    uri = f"{bucket}/{key}"
    ais("put", "-", uri, typed=key.encode())
    assert ais("object", "cat", uri).data == key.encode()
    assert ais("ls", bucket, "--json").json == [{"name": key, "size": len(key.encode())}]
    assert ais("object", "rm", uri).output == f'deleted "{key}" from {bucket}\n'
