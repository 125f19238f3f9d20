"""Files: listed, matched, inspected, copied, compared and deleted."""

from __future__ import annotations

import shutil

import pytest

from tests.cli.pachctl.command import Pachctl
from tidegate.cli.transport import Client

# Keys that a URL, a shell or a file system would take for something else.
ODD = ("a b", "%41", "a?b#c", "ü/日本", "a//b", "../up", "./here", "/leading", "a+b&c=d", "[x]*?", "a:b@c")


@pytest.fixture
def tree(pachctl: Pachctl, repo: str) -> str:
    """A repo with ``/a.txt`` (1 byte), ``/dir/b.txt`` (2), ``/dir/sub/c.csv`` (3) and ``/e.csv`` (4), in one commit."""
    for name, size in (("a.txt", 1), ("dir/b.txt", 2), ("dir/sub/c.csv", 3), ("e.csv", 4)):
        path = pachctl.folder / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    pachctl("put", "file", f"{repo}@master:/", "-r", "-f", "tree")
    shutil.rmtree(pachctl.folder / "tree")
    return repo


def test_listing(pachctl: Pachctl, tree: str) -> None:
    """A directory's files and directories with their sizes; a file is listed as itself; the guide's columns."""
    assert pachctl("list", "file", f"{tree}@master").output == (
        "NAME   TYPE SIZE\n/a.txt file 1B\n/dir/  dir  5B\n/e.csv file 4B\n"
    )
    below = "NAME       TYPE SIZE\n/dir/b.txt file 2B\n/dir/sub/  dir  3B\n"
    for path in ("/dir", "/dir/", "dir"):
        assert pachctl("list", "file", f"{tree}@master:{path}").output == below
    assert pachctl("list", "files", f"{tree}@master:/a.txt").rows[1:] == [["/a.txt", "file", "1B"]]
    missing = pachctl.fails("list", "file", f"{tree}@master:/none")
    assert missing == f"file /none not found in repo default/{tree} at commit master"


def test_listing_where_a_project_is_named(pachctl: Pachctl, tree: str) -> None:
    """The later edition's table: sizes and names, with a tab between them."""
    assert pachctl("list", "file", f"{tree}@master", "--project", "default").output == (
        "SIZE\tNAME\n1B\t/a.txt\n5B\t/dir/\n4B\t/e.csv\n"
    )


def test_an_empty_branch(pachctl: Pachctl, repo: str) -> None:
    """Where nothing was written nothing is listed, matched or compared."""
    assert pachctl("list", "file", f"{repo}@master").output == "NAME TYPE SIZE\n"
    assert pachctl("glob", "file", f"{repo}@master:/*").output == "NAME TYPE SIZE\n"
    assert pachctl("diff", "file", f"{repo}@master").output == "OP NAME TYPE SIZE\n"
    assert pachctl("inspect", "file", f"{repo}@master:/").output == "Path: /\nType: dir\nSize: 0B\n"


@pytest.mark.parametrize("files", [1, 2, 3])
def test_listings_in_pages(pachctl: Pachctl, tree: str, files: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long pages are, everything is listed once, in order, and directories have their sizes."""
    from tidegate.cli.pachctl import calls

    for number in range(5):
        pachctl.put(f"{tree}@master:/{number}{'/x' * (number % 3 == 2)}", b"12")
    monkeypatch.setattr(calls, "MAX_FILES", files)
    request = Client.request

    def short(self: Client, method: str, path: str, *, query: dict[str, str], **options: object) -> object:
        short_query = {**query, "limit": "2"} if "sizes" in query else query
        return request(self, method, path, query=short_query, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Client, "request", short)
        rows = pachctl("list", "file", f"{tree}@master").rows
    assert rows == [
        ["NAME", "TYPE", "SIZE"],
        ["/0", "file", "2B"],
        ["/1", "file", "2B"],
        ["/2/", "dir", "2B"],
        ["/3", "file", "2B"],
        ["/4", "file", "2B"],
        ["/a.txt", "file", "1B"],
        ["/dir/", "dir", "5B"],
        ["/e.csv", "file", "4B"],
    ]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("/*.csv", ["/e.csv"]),
        ("/**.csv", ["/dir/sub/c.csv", "/e.csv"]),
        ("/*", ["/a.txt", "/dir/", "/e.csv"]),
        ("/dir/*", ["/dir/b.txt", "/dir/sub/"]),
        ("/{a,e}.*", ["/a.txt", "/e.csv"]),
        ("/?.txt", ["/a.txt"]),
        ("/[!a].csv", ["/e.csv"]),
        ("/none*", []),
    ],
)
def test_globs(pachctl: Pachctl, tree: str, pattern: str, names: list[str]) -> None:
    """A pattern's slashes divide directories, ``**`` goes across them."""
    assert [row[0] for row in pachctl("glob", "file", f"{tree}@master:{pattern}").rows[1:]] == names


def test_inspecting(pachctl: Pachctl, tree: str) -> None:
    """A file has a size; a directory that of all that is in it, and children."""
    assert pachctl("inspect", "file", f"{tree}@master:/a.txt").output == "Path: /a.txt\nType: file\nSize: 1B\n"
    assert pachctl("inspect", "file", f"{tree}@master:/dir").output == (
        "Path: /dir/\nType: dir\nSize: 5B\nChildren: b.txt sub\n"
    )
    assert pachctl("inspect", "file", f"{tree}@master").rows[-1] == ["Children:", "a.txt", "dir", "e.csv"]
    document = pachctl("inspect", "file", f"{tree}@master:/a.txt", "--raw").json
    assert (document["path"], document["size"], document["commit"]) == ("a.txt", 1, pachctl.head(f"{tree}@master"))
    assert "not found" in pachctl.fails("inspect", "file", f"{tree}@master:/none")


def test_a_file_and_a_directory_of_one_name(pachctl: Pachctl, repo: str) -> None:
    """``/a`` and ``/a/b`` may both be there; the slash says which is meant."""
    pachctl.put(f"{repo}@master:/a", b"1")
    pachctl.put(f"{repo}@master:/a/b", b"22")
    assert pachctl("inspect", "file", f"{repo}@master:/a").rows[1] == ["Type:", "file"]
    assert pachctl("inspect", "file", f"{repo}@master:/a/").rows == [
        ["Path:", "/a/"], ["Type:", "dir"], ["Size:", "2B"], ["Children:", "b"]
    ]  # fmt: skip
    assert pachctl.read(f"{repo}@master:/a") == b"1"
    pachctl("get", "file", f"{repo}@master:/a/", "-r", "-o", "out")
    assert (pachctl.folder / "out/b").read_bytes() == b"22"


@pytest.mark.parametrize("key", ODD)
def test_odd_names(pachctl: Pachctl, repo: str, key: str) -> None:
    """Any key is a path behind a slash: it comes back as it went, and is found by its name."""
    pachctl.put(f"{repo}@master:/{key}", key.encode())
    assert pachctl.read(f"{repo}@master:/{key}") == key.encode()
    assert [row.rsplit(None, 2)[0] for row in pachctl("glob", "file", f"{repo}@master:/**").output.splitlines()[1:]][
        -1
    ] == f"/{key}"
    assert len(pachctl("log", f"{repo}@master:/{key}").rows) == 2
    pachctl("delete", "file", f"{repo}@master:/{key}")
    assert pachctl.files(f"{repo}@master") == []


def test_copying(pachctl: Pachctl, tree: str) -> None:
    """A file or a directory is copied on the server, in one commit, also to another repo, and makes a branch there."""
    pachctl("copy", "file", f"{tree}@master:/a.txt", f"{tree}@master:/copy")
    pachctl("copy", "file", f"{tree}@master:/a.txt", f"{tree}@master:/in/")
    pachctl("copy", "file", f"{tree}@master:/dir", f"{tree}@master:/dir2", "-m", "a directory")
    assert pachctl.files(f"{tree}@master") == [
        *("/a.txt", "/copy", "/dir/b.txt", "/dir/sub/c.csv", "/dir2/b.txt", "/dir2/sub/c.csv", "/e.csv", "/in/a.txt"),
    ]
    assert pachctl("inspect", "commit", f"{tree}@master", "--raw").json["message"] == "a directory"
    assert len(pachctl("list", "commit", f"{tree}@master").rows) == 5
    pachctl("create", "repo", f"{tree}-other")
    pachctl("copy", "file", f"{tree}@master^:/e.csv", f"{tree}-other@new")
    pachctl("copy", "file", f"{tree}@master:/dir/", f"{tree}-other@new:/x/")
    assert pachctl.files(f"{tree}-other@new") == ["/e.csv", "/x/dir/b.txt", "/x/dir/sub/c.csv"]
    missing = pachctl.fails("copy", "file", f"{tree}@master:/none", f"{tree}@master:/x")
    assert "file /none not found" in missing
    assert "names no file" in pachctl.fails("copy", "file", f"{tree}@master", f"{tree}@master:/x")


def test_deleting(pachctl: Pachctl, tree: str) -> None:
    """A file goes; a directory goes with -r; what is not there is no error and makes no commit."""
    pachctl("delete", "file", f"{tree}@master:/a.txt", "-m", "not wanted")
    assert pachctl("inspect", "commit", f"{tree}@master", "--raw").json["message"] == "not wanted"
    head = pachctl.head(f"{tree}@master")
    assert pachctl("delete", "file", f"{tree}@master:/a.txt").output == ""
    assert pachctl.head(f"{tree}@master") == head
    pachctl("delete", "file", f"{tree}@master:/dir", "-r")
    assert pachctl.files(f"{tree}@master") == ["/e.csv"]
    assert "-r for everything" in pachctl.fails("delete", "file", f"{tree}@master:/")
    pachctl("delete", "file", f"{tree}@master:/", "--recursive")
    assert pachctl.files(f"{tree}@master") == []


def test_differences(pachctl: Pachctl, tree: str) -> None:
    """What is new has a +, what is gone a -, what has changed both; against the commit before, or any other state."""
    pachctl("create", "branch", f"{tree}@dev", "--head", "master")
    pachctl.put(f"{tree}@dev:/dir/b.txt", b"changed")
    pachctl("delete", "file", f"{tree}@dev:/a.txt")
    pachctl.put(f"{tree}@dev:/dir/new", b"x")
    assert pachctl("diff", "file", f"{tree}@dev").output == "OP NAME     TYPE SIZE\n+  /dir/new file 1B\n"
    whole = [
        ["OP", "NAME", "TYPE", "SIZE"],
        ["-", "/a.txt", "file", "1B"],
        ["-", "/dir/b.txt", "file", "2B"],
        ["+", "/dir/b.txt", "file", "7B"],
        ["+", "/dir/new", "file", "1B"],
    ]
    assert pachctl("diff", "file", f"{tree}@dev", f"{tree}@master").rows == whole
    assert pachctl("diff", "file", f"{tree}@dev:/dir", f"{tree}@master").rows == [whole[0], *whole[2:]]
    assert pachctl("diff", "file", f"{tree}@dev:/a.txt", f"{tree}@master:/a.txt").rows == whole[:2]
    assert pachctl("diff", "file", f"{tree}@dev:/di", f"{tree}@master").rows == whole[:1]
    short = pachctl("diff", "file", f"{tree}@dev", "--name-only").output
    assert short == "OP SIZE NAME\n+  1B   /dir/new\n"
    assert pachctl("diff", "file", f"{tree}@dev", "--raw").json["op"] == "added"


def test_the_first_commit(pachctl: Pachctl, tree: str) -> None:
    """In the first commit everything is new."""
    rows = pachctl("diff", "file", f"{tree}@master").rows
    assert [row[:2] for row in rows[1:]] == [
        ["+", "/a.txt"],
        ["+", "/dir/b.txt"],
        ["+", "/dir/sub/c.csv"],
        ["+", "/e.csv"],
    ]
    assert len(pachctl("diff", "file", f"{tree}@master:/dir/sub").rows) == 2


def test_differences_that_make_no_sense(pachctl: Pachctl, tree: str) -> None:
    """What is compared has one path in one repo."""
    assert "of another repo" in pachctl.fails("diff", "file", f"{tree}@master", "other@master")
    assert "another path" in pachctl.fails("diff", "file", f"{tree}@master:/a", f"{tree}@master:/b")


def test_differences_within_files(pachctl: Pachctl, tree: str) -> None:
    """A command is run on both states of what has changed."""
    pachctl.put(f"{tree}@master:/dir/b.txt", b"changed")
    before = "import subprocess, os; os.environ['GIT_CONFIG_GLOBAL'] = '/dev/null'"
    command = "diff -r -u"
    shown = pachctl.on_terminal("diff", "file", f"{tree}@master", "--diff-command", command, before=before).output
    assert "\n-xx\n" in shown
    assert "\n+changed\n" in shown
    assert "a.txt" not in shown
    if shutil.which("git"):
        shown = pachctl.on_terminal("diff", "file", f"{tree}@master", "--content", before=before).output
        assert "new/dir/b.txt" in shown
    assert "is not here" in pachctl.fails("diff", "file", f"{tree}@master", "--diff-command", "no-such-command")
    assert "exit code 3" in pachctl.fails("diff", "file", f"{tree}@master", "--diff-command", "sh -c 'exit 3'")
