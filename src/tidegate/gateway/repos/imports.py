"""Bringing a bucket into a branch by reference: no byte is copied.

Objects of our own buckets share their blobs. Those that another provider keeps become references, which are read there,
through our cache, when somebody reads them here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial

from tidegate import errors
from tidegate.catalog import buckets, commits, listing, versions
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.blobs import Reference
from tidegate.catalog.commits import Point
from tidegate.catalog.listing import Page
from tidegate.catalog.versions import Draft
from tidegate.gateway.permissions import authorise
from tidegate.gateway.remote.listing import RemoteListing
from tidegate.gateway.remote.upstreams import remote_of
from tidegate.gateway.repos import aside, within
from tidegate.gateway.repos.aside import Work
from tidegate.gateway.rooms import Rooms
from tidegate.model import EMPTY, STANDARD, Attributes, Bucket, Commit, Note, Principal, Repo, Writer
from tidegate.names import MAX_KEY_BYTES, BucketName, split_uri
from tidegate.refs import RepoName

# Objects in one transaction: some 60 ms of the writer's time.
STEP = 1000


class Imports:
    """Bringing buckets into branches."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._remotes = RemoteListing(rooms)

    async def bring_in(
        self, principal: Principal, repo: RepoName, branch: str, uri: str, path: str = ""
    ) -> tuple[Commit, int]:
        """Puts the objects of a bucket whose names begin with a prefix (``s3://bucket/prefix``) into a branch, in one
        commit. They are called ``path`` and what comes after the last slash of the prefix. Returns the commit, and how
        many they are.

        Raises ``NoSuchBucket``, ``NoSuchRepo``, ``NoSuchBranch``, ``AccessDenied``, ``ParentNotFinished`` where a
        commit is open on the branch, ``InvalidArgument`` for a URI that names no bucket.
        """
        provider, namespace, bucket_name, prefix = split_uri(uri)
        if not bucket_name:
            raise errors.InvalidArgument(f'"{uri}" does not name a bucket')
        source_name = BucketName(bucket_name, provider, namespace)
        source = await self._rooms.bucket(principal, source_name, "s3:ListBucket", elsewhere=True)
        authorise(principal, source, "s3:GetObject", elsewhere=True)
        note = principal.note
        writer = Writer(principal.name, Note(note.message or f"Import {uri}", note.metadata, note.if_head))

        def bucket(tx: Reader, of: Repo) -> Bucket:
            return within.branch_bucket(tx, principal, of, branch, "repo:Commit", writer)

        def head(tx: Reader, of: Repo) -> Point | None:
            return commits.last(tx, bucket(tx, of).state)

        work = Work(repo, branch, bucket, await within.look(self._rooms, repo, head))
        rename = partial(_renamed, path=path, folder=len(prefix[: prefix.rfind("/") + 1]))
        made = await aside.commit(self._rooms, work, self._steps(principal, source, source_name, prefix, rename))
        if made.commit is None:
            raise LookupError(repo)
        return made.commit, made.changes

    async def _steps(
        self, principal: Principal, source: Bucket, name: BucketName, prefix: str, rename: Callable[[str], str]
    ) -> AsyncGenerator[aside.Step, None]:
        after: str | None = ""
        is_empty = True
        while after is not None:
            page, drafts = await self._page(principal, source, name, prefix, after)
            is_empty = is_empty and not drafts

            def put(tx: Transaction, bucket: Bucket, drafts: Sequence[tuple[str, Draft]] = drafts) -> int:
                named = [(rename(key), draft) for key, draft in drafts]
                for key, draft in named:
                    if key:
                        versions.put(tx, bucket, key, draft)
                return len(named)

            yield put
            after = page.last
        if is_empty:
            raise errors.NoSuchKey(f'no object in "{name.uri}" has a name that begins with "{prefix}"')

    async def _page(
        self, principal: Principal, source: Bucket, name: BucketName, prefix: str, after: str
    ) -> tuple[Page, list[tuple[str, Draft]]]:
        if source.is_elsewhere:
            page = await self._remotes.page(source, prefix=prefix, delimiter="", after=after, limit=STEP)
            remote = remote_of(source)
            return page, [
                (
                    entry.key,
                    Draft(
                        Reference(remote.provider, remote.namespace, remote.name, entry.key, entry.etag, entry.size),
                        entry.size, entry.etag, entry.modified, STANDARD, Attributes(), EMPTY,
                    ),
                )
                for entry in page.entries
            ]  # fmt: skip

        def read(tx: Reader) -> tuple[Page, list[tuple[str, Draft]]]:
            bucket = buckets.get(tx, name)
            authorise(principal, bucket, "s3:GetObject")
            page = listing.keys(tx, bucket, prefix=prefix, delimiter="", after=after, limit=STEP)
            found = [each.version for each in listing.details(tx, bucket, page)]
            return page, [(version.key, versions.draft_of(version)) for version in found]

        return await self._rooms.catalog.read(read)


def _renamed(key: str, path: str, folder: int) -> str:
    """What an object is called in the branch. Raises ``KeyTooLongError``."""
    name = path + key[folder:]
    if len(name.encode()) > MAX_KEY_BYTES:
        raise errors.KeyTooLongError(Key=name)
    return name
