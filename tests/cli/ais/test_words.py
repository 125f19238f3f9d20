"""What stands on a command line: assignments, templates, lists, URIs; and what a shell completes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate import errors
from tidegate.cli.ais import assignments, client, completion, selection, uris
from tidegate.names import BucketName
from tidegate.properties import nest

NAMES = st.from_regex(r"[a-z]{1,5}", fullmatch=True)


@pytest.mark.parametrize(
    ("words", "properties"),
    [
        (["checksum.type=md5"], {"checksum.type": "md5"}),
        (["checksum.type", "md5"], {"checksum.type": "md5"}),
        (["a=1", "b.c=2"], {"a": "1", "b.c": "2"}),
        (["extra.custom=a=b"], {"extra.custom": "a=b"}),
        (["backend_bck=none"], {"backend_bck": "none"}),
        (["a="], {"a": ""}),
        (['{"mirror": {"copies": 2, "enabled": true}}'], {"mirror.copies": 2, "mirror.enabled": True}),
    ],
)
def test_assignments(words: list[str], properties: dict[str, object]) -> None:
    """Properties are given as k=v, as k v, or as JSON."""
    assert assignments.parse(words) == properties


@pytest.mark.parametrize("words", [["a=1", "b"], ["=1"], ["a", "b", "c"], ["a"], ["{"], ['{"a": '], ["{1: 2}"]])
def test_what_assigns_nothing_is_refused(words: list[str]) -> None:
    """What is no assignment is said to be none."""
    with pytest.raises(errors.InvalidArgument):
        assignments.parse(words)


def test_assignments_in_one_argument() -> None:
    """--props has several assignments with spaces between them, or JSON."""
    assert assignments.parse_text("checksum.type=md5 mirror.enabled=true") == {
        "checksum.type": "md5",
        "mirror.enabled": "true",
    }
    assert assignments.parse_text('{"mirror": {"copies": 2}}') == {"mirror.copies": 2}


@given(
    st.dictionaries(
        NAMES, st.one_of(st.text(max_size=3), st.dictionaries(NAMES, st.booleans(), min_size=1)), min_size=1
    )
)
def test_a_tree_survives_being_flattened(tree: dict[str, object]) -> None:
    """The tree that is sent is the tree that was given."""
    from tidegate.properties import flatten

    assert nest(dict(flatten(tree))) == tree


def test_a_property_is_no_section() -> None:
    """A name cannot be a property and a section at once."""
    with pytest.raises(errors.InvalidArgument):
        nest({"a": 1, "a.b": 2})


def test_differences_are_told_as_the_guides_tell_them() -> None:
    """A changed property is told with what it was before."""
    before = {"checksum.type": "xxhash", "backend_bck.name": "", "mirror.enabled": False, "same": 1, "features": "0"}
    after = {"checksum.type": "md5", "backend_bck.name": "b", "mirror.enabled": True, "same": 1, "features": "16"}
    assert list(assignments.differences(before, after)) == [
        '"checksum.type" set to: "md5" (was: "xxhash")',
        '"backend_bck.name" set to: "b" (was: "")',
        '"mirror.enabled" set to: "true" (was: "false")',
        '"features" set to: "Fsync-PUT" (was: "-")',
    ]


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("shard-{0..2}.tar", ["shard-0.tar", "shard-1.tar", "shard-2.tar"]),
        ("{008..010}", ["008", "009", "010"]),
        ("a{0..4..2}", ["a0", "a2", "a4"]),
        ("{1..2}/{8..9}x", ["1/8x", "1/9x", "2/8x", "2/9x"]),
    ],
)
def test_templates(template: str, names: list[str]) -> None:
    """A template stands for the names of its ranges, as wide as they are written."""
    assert list(selection.expand(template)) == names


@pytest.mark.parametrize(
    "template", ["plain", "{2..1}", "{a..b}", "{0..4..0}", "{}", "{0..99999999}", "{0..9999}{0..9999}"]
)
def test_no_templates_are_refused(template: str) -> None:
    """What is no template is said to be none."""
    with pytest.raises(errors.InvalidArgument):
        selection.expand(template)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 5))
def test_a_range_has_what_it_says(first: int, more: int, step: int) -> None:
    """A range goes from its first number to its last, both included where the steps meet it."""
    found = list(selection.expand(f"{{{first}..{first + more}..{step}}}"))
    assert [int(name) for name in found] == list(range(first, first + more + 1, step))


def test_selections_exclude_each_other() -> None:
    """A list, a template and a prefix cannot be given together."""
    assert selection.message("a, b,", "", "") == {"objnames": ["a", "b"]}
    assert selection.message("", "x{1..2}", "") == {"template": "x{1..2}"}
    assert selection.message("", "", "") == {}
    with pytest.raises(errors.InvalidArgument):
        selection.message("a", "", "b")


@pytest.mark.parametrize(
    ("uri", "bucket", "key"),
    [
        ("ais://abc", BucketName("abc"), ""),
        ("ais://abc/", BucketName("abc"), ""),
        ("ais:abc/x", BucketName("abc"), "x"),
        ("aws://abc/a/b", BucketName("abc", "aws"), "a/b"),
        ("s3://abc//a", BucketName("abc", "aws"), "/a"),
        ("ais://#ml/abc/a:b", BucketName("abc", "ais", "ml"), "a:b"),
    ],
)
def test_uris(uri: str, bucket: BucketName, key: str) -> None:
    """A URI names a provider, a namespace, a bucket and what is in it."""
    assert uris.split(uri) == (bucket, key)


@pytest.mark.parametrize("uri", ["abc", "ais://", "cloud://abc", "./file", "/etc/passwd"])
def test_what_names_no_bucket(uri: str) -> None:
    """A file's path is no bucket."""
    assert not uris.is_bucket(uri)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a b/c", "/v1/objects/b/a%20b/c"),
        ("../x/./y", "/v1/objects/b/%2E%2E/x/%2E/y"),
        ("a//b/", "/v1/objects/b/a//b/"),
        ("50%?#", "/v1/objects/b/50%25%3F%23"),
        ("ü", "/v1/objects/b/%C3%BC"),
    ],
)
def test_paths_of_objects(key: str, path: str) -> None:
    """A key comes to the server as it is, dots and all."""
    assert client.object_path("b", key) == path


@pytest.mark.parametrize(
    ("words", "at", "whole", "place", "cut"),
    [
        (["ais", "ls", "ai"], 2, ["ais", "ls", "ai"], 2, 0),
        (["ais", "ls", "ais", ":"], 3, ["ais", "ls", "ais:"], 2, 4),
        (["ais", "ls", "ais", ":", "//a"], 4, ["ais", "ls", "ais://a"], 2, 4),
        (["ais", "cp", "ais", ":", "//a", "s3", ":", "//"], 7, ["ais", "cp", "ais://a", "s3://"], 3, 3),
        (["ais", "ls", ""], 2, ["ais", "ls", ""], 2, 0),
        (["ais", "ls"], 2, ["ais", "ls"], 2, 0),
    ],
)
def test_words_that_bash_divides(words: list[str], at: int, whole: list[str], place: int, cut: int) -> None:
    """What bash divides at a colon is one word again; what stands before the colon is not completed twice."""
    assert completion.rejoin(words, at) == (whole, place, cut)
