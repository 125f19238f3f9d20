"""The operations of ``/v2``, one function each. What the server refuses is told as Pachyderm tells it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final
from urllib.parse import quote

import msgspec

from tidegate import documents
from tidegate.cli import say
from tidegate.cli.failures import Failure, Refused
from tidegate.cli.pachctl.arguments import Target, about
from tidegate.cli.transport import Body, Client, quoted
from tidegate.documents import MAX_FILES, MAX_PAGE, Branch, Commit, File, Merged, Page, Tag
from tidegate.refs import RepoName, is_commit_id, parse_ref

PROJECTS: Final = "/v2/projects"
# A page whose items are read, or shown as they came, by who asked for them.
_Page = Page[msgspec.Raw]


def project_path(name: str) -> str:
    """The path of a project."""
    return f"{PROJECTS}/{quote(name, safe='')}"


def repo_path(repo: RepoName, *below: str) -> str:
    """The path of a repository, or of what is in it."""
    names = "".join(f"/{quote(name, safe='')}" for name in below)
    return f"{project_path(repo.project)}/repos/{quote(repo.name, safe='')}{names}"


def file_path(target: Target) -> str:
    """The path of a file."""
    return f"{repo_path(target.repo, 'files', target.ref)}/{quoted(target.key)}"


def fetch(client: Client, path: str, query: Mapping[str, str] | None = None) -> bytes:
    """A document."""
    return client.request("GET", path, query=query).data


def items(client: Client, path: str, query: Mapping[str, str] | None = None, limit: int = 0) -> Iterator[msgspec.Raw]:
    """The documents of a list, each page fetched when it is asked for; at most ``limit``, 0 for all."""
    wanted = dict(query or {})
    if limit:
        wanted["limit"] = str(min(limit, MAX_PAGE))
    left = limit
    while True:
        page = client.decode(client.request("GET", path, query=wanted), _Page)
        yield from page.items[:left] if limit else page.items
        left -= len(page.items)
        if not page.next or (limit and left <= 0):
            return
        wanted["after"] = page.next


def history(client: Client, target: Target, what: str, id: str, limit: int) -> Iterator[msgspec.Raw]:
    """What has become of a path, newest first: ``find`` its commits, or ``log`` its versions; ``id`` is the name that a
    commit's id has in that. At most ``limit``, 0 for all.
    """
    left, ref = limit, target.ref
    while True:
        size = min(left, MAX_PAGE) if limit else MAX_PAGE
        query = {"ref": ref, "path": target.key, "limit": str(size)}
        try:
            page = client.decode(client.request("GET", repo_path(target.repo, what), query=query), _Page)
        except Refused as refused:
            if ref != target.ref and refused.code == "NoSuchCommit":  # what was shown last was the first of all
                return
            with about(target):
                raise
        yield from page.items
        left -= len(page.items)
        if len(page.items) < size or (limit and left <= 0):
            return
        last = msgspec.json.decode(page.items[-1], type=dict[str, msgspec.Raw])[id]
        ref = f"{msgspec.json.decode(last, type=str)}^"


# --- branches and commits --------------------------------------------------------------------------------------------


def branch(client: Client, target: Target) -> Branch | None:
    """A branch; None where there is none, or only a tag or commit of that name. Raises for a repository not there."""
    try:
        answer = client.request("GET", repo_path(target.repo, "branches", target.ref))
    except Refused as refused:
        if refused.code == "NoSuchBranch":
            return None
        raise
    return client.decode(answer, Branch)


def put_branch(client: Client, target: Target, changes: Mapping[str, object]) -> None:
    """Makes a branch, or changes it."""
    client.request("PUT", repo_path(target.repo, "branches", target.ref), action=changes)


def ensure_branch(client: Client, target: Target) -> None:
    """Makes the branch that is to be written. Raises ``Failure`` for what is no branch, and cannot be one."""
    ref = parse_ref(target.ref)
    is_name = not (ref.steps or ref.commit or ref.time is not None or is_commit_id(ref.base))
    if is_name and branch(client, target) is not None:
        return
    tags = items(client, repo_path(target.repo, "tags"))
    if not is_name or any(msgspec.json.decode(each, type=Tag).name == target.ref for each in tags):
        raise Failure(f"{target.full_repo}@{target.ref} is a commit, not a branch: it cannot be changed")
    put_branch(client, target, {})


def commit(client: Client, target: Target) -> Commit:
    """The commit that a ref means: of a branch, the one that is open, or its HEAD."""
    return client.decode(client.request("GET", repo_path(target.repo, "commits", target.ref)), Commit)


def start_commit(client: Client, target: Target, message: str = "", parent: str = "") -> Commit:
    """Starts a commit on a branch, which is made where there is none."""
    action: dict[str, object] = {"branch": target.ref}
    if message:
        action["message"] = message
    if parent:
        action["parent"] = parent
    return client.decode(client.request("POST", repo_path(target.repo, "commits"), action=action), Commit)


def finish_commit(client: Client, target: Target, message: str = "") -> None:
    """Finishes a commit."""
    path = repo_path(target.repo, "commits", target.ref, "finish")
    client.request("POST", path, action={"message": message} if message else {})


def drop_commit(client: Client, target: Target) -> None:
    """Removes a commit with what it wrote."""
    client.request("DELETE", repo_path(target.repo, "commits", target.ref))


@contextmanager
def one_commit(client: Client, target: Target, message: str) -> Iterator[None]:
    """Lets several writes to a branch be one commit: all of them are seen together, or none.

    Where a commit is open on the branch, they go into that, and it stays open.
    """
    found = branch(client, target)
    if found is not None and found.open is not None:
        if message:
            say.warning(f"commit {found.open.id} is open on {target.uri}: what is said of it goes with finish commit")
        yield
        return
    opened = msgspec.structs.replace(target, ref=start_commit(client, target, message).id, path="")
    try:
        yield
    except BaseException:
        _take_back(client, target, opened)
        raise
    try:
        finish_commit(client, opened)
    except Refused as refused:
        if refused.code in {"HookRefused", "HookUnavailable"}:
            _take_back(client, target, opened)
        raise


def _take_back(client: Client, target: Target, opened: Target) -> None:
    """Drops a commit that came to nothing. Raises ``Failure`` where it stays."""
    try:
        drop_commit(client, opened)
    except Failure as failure:
        raise Failure(
            f"commit {opened.ref} is left open on {target.uri}: {failure.message}",
            f"pachctl drop commit {opened.uri}",
        ) from None


# --- files -----------------------------------------------------------------------------------------------------------


def files(client: Client, target: Target, query: Mapping[str, str]) -> Iterator[msgspec.Raw]:
    """Files and directories in a state of a repository."""
    with about(target):
        yield from items(client, repo_path(target.repo, "files"), {"ref": target.ref, **query})


def sized(client: Client, target: Target, query: Mapping[str, str]) -> Iterator[msgspec.Raw]:
    """As ``files``, with the sizes of directories.

    The server sums up only so many a page. So where a page has no directory, the next is a large one that is not summed
    up, and is taken as far as it has none.
    """
    path = repo_path(target.repo, "files")
    wanted = {"ref": target.ref, **query}
    sums = True
    while True:
        mode = {"sizes": "true"} if sums else {"limit": str(MAX_FILES)}
        with about(target):
            page = client.decode(client.request("GET", path, query={**wanted, **mode}), _Page)
        files = [msgspec.json.decode(item, type=File) for item in page.items]
        first = next((number for number, file in enumerate(files) if file.type != "file"), None)
        if first is None or sums:
            yield from page.items
            following, sums = page.next, first is not None
        else:
            yield from page.items[:first]
            following, sums = (files[first - 1].path if first else wanted.get("after", "")), True
        if following is None:
            return
        wanted["after"] = following


def every_file(client: Client, target: Target) -> list[File]:
    """The files at and below a path. Raises ``Failure`` where there are none."""
    key = target.key.removesuffix("/")
    query = {"path": key, "recursive": "true", "limit": str(MAX_FILES)}
    found = (msgspec.json.decode(item, type=File) for item in files(client, target, query))
    return [each for each in found if each.type == "file"]


def pinned(client: Client, target: Target) -> Target:
    """The same state by its commit, which does not move while it is read; as it is, where it has none."""
    found = branch(client, target)
    if found is not None:
        return target if found.head is None else msgspec.structs.replace(target, ref=found.head.id)
    return msgspec.structs.replace(target, ref=commit(client, target).id)


def put_file(
    client: Client, target: Target, body: Body, *, size: int | None = None, message: str = "", appends: bool = False
) -> None:
    """Writes a file. ``size`` is that of the body, where it is known."""
    headers = {"Content-Type": "application/octet-stream", **_note(message)}
    if size is not None:
        headers["Content-Length"] = str(size)
    query = {"append": "true"} if appends else None
    client.request("PUT", file_path(target), body=body, headers=headers, query=query)


def delete_file(client: Client, target: Target, *, is_recursive: bool, message: str = "") -> None:
    """Deletes a file, or a directory with all that is in it."""
    query = {"recursive": "true"} if is_recursive else None
    client.request("DELETE", file_path(target), query=query, headers=_note(message))


def _note(message: str) -> dict[str, str]:
    """The headers that tell what is to be said of a commit."""
    return {"X-Tidegate-Commit-Message": quote(message, safe=" ")} if message else {}


def copy_file(client: Client, source: Target, to: Target, message: str = "") -> None:
    """Copies a file, on the server."""
    action: dict[str, object] = {
        "source_ref": source.ref,
        "source_path": source.key,
        "ref": to.ref,
        "path": to.key,
    }
    if source.repo != to.repo:
        action |= {"source_repo": source.repo.name, "source_project": source.repo.project}
    if message:
        action["message"] = message
    with about(source):
        client.request("POST", repo_path(to.repo, "copy"), action=action)


def merged(client: Client, path: str, action: Mapping[str, object]) -> Merged:
    """What came of a merge, or of a commit that was reverted or picked; with conflicts, if any."""
    try:
        return client.decode(client.request("POST", path, action=action), Merged)
    except Refused as refused:
        if refused.code != "MergeConflict":
            raise
        return Merged(None, 0, msgspec.json.decode(refused.document, type=documents.Failure).conflicts)
