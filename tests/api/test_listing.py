"""Listing files: directories, all below one, and patterns; page by page it is the same."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.client import Api, Repo
from tests.api.conftest import new_name

# In the order of their bytes. Some are both a file and a directory, some end in a slash, some begin with one.
PATHS = [
    "/rooted/x",
    "a",
    "a-b",
    "a/",
    "a/1.txt",
    "a/2.csv",
    "a/b/1.txt",
    "a/b/c/1.txt",
    "a0",
    "b//x",
    "b/x",
    "c.txt",
    "d/e/f/g.txt",
    "x{1}",
    "é/ü.txt",
    "😀.txt",
]


@pytest.fixture(scope="module")
def full(api: Api) -> Repo:
    """A repository with these files, in two commits and with a third that took one away."""
    repo = Repo(api, new_name())
    api.post("/projects/default/repos", {"name": repo.name})
    for half in (PATHS[::2], [*PATHS[1::2], "gone"]):
        opened = api.post(f"{repo.path}/commits", {"branch": "master"})["id"]
        for path in half:
            repo.write(path, path.encode())
        api.post(f"{repo.path}/commits/{opened}/finish", {})
    api.delete(repo.file("gone"))
    return repo


@pytest.mark.parametrize("limit", [1, 2, 1000])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["/", "a", "a-b", "a/", "a0", "b/", "c.txt", "d/", "x{1}", "é/", "😀.txt"]),
        ({"path": "a"}, ["a", "a/", "a/1.txt", "a/2.csv", "a/b/"]),
        ({"path": "a/"}, ["a/", "a/1.txt", "a/2.csv", "a/b/"]),
        ({"path": "b"}, ["b//", "b/x"]),
        ({"path": "/"}, ["/rooted/"]),
        ({"path": "c.txt"}, ["c.txt"]),
        ({"path": "d/e/"}, ["d/e/f/"]),
        ({"recursive": True}, PATHS),
        ({"recursive": True, "path": "a"}, ["a", *PATHS[3:8]]),
        ({"recursive": True, "path": "a/b/"}, PATHS[6:8]),
        ({"glob": "*"}, ["/", "a", "a-b", "a/", "a0", "b/", "c.txt", "d/", "x{1}", "é/", "😀.txt"]),
        ({"glob": "*/"}, ["/", "a/", "b/", "d/", "é/"]),
        ({"glob": "d/"}, ["d/"]),
        ({"glob": "d/e"}, ["d/e/"]),
        ({"glob": "a"}, ["a", "a/"]),
        ({"glob": "*.txt"}, ["c.txt", "😀.txt"]),
        ({"glob": "*/*.txt"}, ["a/1.txt", "é/ü.txt"]),
        ({"glob": "a/*"}, ["a/1.txt", "a/2.csv", "a/b/"]),
        ({"glob": "a/b/c/1.txt"}, ["a/b/c/1.txt"]),
        ({"glob": "a?*"}, ["a-b", "a0"]),
        ({"glob": "a[!-]"}, ["a0"]),
        ({"glob": "[c-d]*"}, ["c.txt", "d/"]),
        ({"glob": "{a/*.csv,c.*,d/e}"}, ["a/2.csv", "c.txt", "d/e/"]),
        ({"glob": "x\\{1\\}"}, ["x{1}"]),
        ({"glob": "**.txt"}, ["a/1.txt", "a/b/1.txt", "a/b/c/1.txt", "c.txt", "d/e/f/g.txt", "é/ü.txt", "😀.txt"]),
        ({"glob": "a/**"}, ["a/1.txt", "a/2.csv", "a/b/", "a/b/1.txt", "a/b/c/", "a/b/c/1.txt"]),
        ({"glob": "**/1.txt"}, ["a/1.txt", "a/b/1.txt", "a/b/c/1.txt"]),
        ({"glob": "**/"}, ["/", "/rooted/", "a/", "a/b/", "a/b/c/", "b/", "b//", "d/", "d/e/", "d/e/f/", "é/"]),
        ({"glob": "nothing*"}, []),
    ],
)
def test_a_listing_shows_what_is_meant(full: Repo, query: dict[str, Any], expected: list[str], limit: int) -> None:
    """In the order of bytes, whatever the size of its pages."""
    assert full.paths(**query, limit=limit) == expected


def test_an_entry_tells_of_the_file(full: Repo) -> None:
    """A file with its size, ETag, time and commit; a directory with nothing, or with its size if that is asked for."""
    file, directory, *_ = full.items("files", ref="master", glob="a{/1.txt,/b}")
    written = full.api.request("HEAD", full.file("a/1.txt")).headers
    assert (file["type"], file["size"], f'"{file["etag"]}"') == ("file", len("a/1.txt"), written["ETag"])
    assert file["commit"] == written["X-Tidegate-Commit"]
    assert directory == {"path": "a/b/", "type": "dir", "size": None, "etag": None, "modified": None, "commit": None}
    (summed,) = full.items("files", ref="master", glob="a/b", sizes=True)
    assert summed["size"] == len("a/b/1.txt") + len("a/b/c/1.txt")


def test_a_listing_is_of_the_state_that_is_asked_for(full: Repo) -> None:
    """By commit, ancestor and tag."""
    assert full.paths("master^^", recursive=True) == PATHS[::2]
    assert full.paths("master^", recursive=True) == sorted([*PATHS, "gone"])
    assert full.paths(full.head(), recursive=True) == PATHS


def test_an_empty_branch_is_empty(repo: Repo) -> None:
    """There is nothing at its top, and no directory at all."""
    assert repo.paths() == []
    assert repo.paths(recursive=True) == repo.paths(glob="**") == []
    repo.api.fails("GET", f"{repo.path}/files?ref=master&path=dir", 404, "NoSuchFile")


@pytest.mark.parametrize(
    "query",
    [
        "path=a",  # no ref
        "ref=",
        "ref=master&limit=0",
        "ref=master&limit=10001",
        "ref=master&limit=x",
        "ref=master&recursive=maybe",
        "ref=master&glob=*&path=a",
        "ref=master&glob=*&recursive=true",
        "ref=master&glob=[a",
        "ref=master&glob=[z-a]",
        "ref=master&glob={a",
        "ref=master&glob=a}",
        "ref=master&glob=a%5C",
        "ref=master&glob=@(a|b)",
        "ref=master&glob=" + "{a,b}" * 7,
        "ref=master&glob=" + "*/" * 101,
        "ref=master&glob=" + "x" * 1025,
        "ref=master&path=nul%00",
        "ref=master&after=nul%00",
        "ref=master&path=" + "x" * 1025,
        "ref=master&path=%ff",
        "ref=master&colour=red",
        "ref=master&ref=dev",
        "ref=master&&",
        "ref",
    ],
)
def test_a_listing_that_makes_no_sense_is_refused(full: Repo, query: str) -> None:
    """What cannot be meant is the client's mistake."""
    full.api.fails("GET", f"{full.path}/files?{query}", 400, "InvalidArgument")
