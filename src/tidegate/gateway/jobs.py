"""Jobs: starting, seeing and stopping work that goes on after the request is answered.

Who starts a job is authorised for all that it will do before it is taken down, and again in each of its steps: what a
job may do is what its starter might when it was started, within what the buckets allow now. A job keeps to the buckets
that it was started for, also where they are renamed meanwhile; where one is destroyed, the job fails.
"""

from __future__ import annotations

import asyncio
import secrets
import string
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tidegate import errors
from tidegate.access import Access
from tidegate.catalog import buckets, configuration, jobs
from tidegate.catalog.abc import Transaction
from tidegate.catalog.jobs import Job, State, WorkedOn
from tidegate.clock import now
from tidegate.gateway import promotion
from tidegate.gateway.assignments import (
    Archive,
    ArchiveFormat,
    Copy,
    Delete,
    Evict,
    Kind,
    MakeCopies,
    Nothing,
    Prefetch,
    Promote,
)  # fmt: skip
from tidegate.gateway.permissions import authorise, authorise_system
from tidegate.gateway.promotion import Promotable
from tidegate.gateway.remote.upstreams import remote_of
from tidegate.gateway.rooms import Rooms
from tidegate.gateway.selection import SAME_NAMES, Prefix, Renaming, Selection, check_key
from tidegate.model import Bucket, Principal
from tidegate.names import BucketName, check_bucket_name
from tidegate.properties import inherited

if TYPE_CHECKING:
    from tidegate.gateway.buckets import Buckets

__all__ = ["Job", "Jobs"]

# Jobs that run or wait to. Each is a row and, while it runs, a task; a thousand are a program gone wild.
MAX_PENDING = 1000
# As many as are kept after they ended: see ``jobs/work.py``.
MAX_LISTED = 1000

# AIStore's job ids have 9 characters.
_ID_LENGTH = 9
_encode = msgspec.msgpack.Encoder().encode


class Prepared(msgspec.Struct, frozen=True):
    """A job that somebody may start. ``total`` is how many objects it is about, where that is known."""

    arguments: Copy | Delete | Prefetch | Evict | Archive | Promote | MakeCopies | Nothing
    source: WorkedOn | None = None
    destination: WorkedOn | None = None
    total: int | None = None


class Jobs:
    """The operations on jobs. Those that start one raise ``NoSuchBucket``, ``AccessDenied``, and ``SlowDown`` where too
    many jobs are waiting, beside what they say.
    """

    def __init__(self, rooms: Rooms, store: Buckets, promote_from: Sequence[Path] = ()) -> None:
        self._rooms = rooms
        self._buckets = store
        self.promotable = Promotable(promote_from)

    # --- seeing and stopping -----------------------------------------------------------------------------------------

    async def get(self, principal: Principal, job_id: str) -> Job:
        """A job of the caller's; any, for who may see the system. Raises ``NoSuchJob``, ``AccessDenied``."""
        job = await self._rooms.catalog.read(lambda tx: jobs.get(tx, job_id))
        if not _is_starter(principal, job):
            authorise_system(principal, Access.SHOW_CLUSTER)
        return job

    async def list(self, principal: Principal, kind: str = "", *, only_pending: bool = False) -> list[Job]:
        """Jobs, the newest first; of one kind where that is given. Raises ``AccessDenied``."""
        authorise_system(principal, Access.SHOW_CLUSTER)
        return await self._rooms.catalog.read(lambda tx: jobs.newest(tx, MAX_LISTED, kind, only_pending=only_pending))

    async def stop(self, principal: Principal, job_id: str) -> Job:
        """Ends a job of the caller's, or any for an administrator. Nothing is done for it once this returns.

        One that is over stays as it is. Raises ``NoSuchJob``, ``AccessDenied``.
        """

        def stop(tx: Transaction) -> Job:
            job = jobs.get(tx, job_id)
            if not _is_starter(principal, job):
                authorise_system(principal, Access.ADMIN)
            return job if job.is_over else jobs.end(tx, job, State.ABORTED, now())

        return await self._rooms.catalog.write(stop)

    async def stop_kind(self, principal: Principal, kind: str) -> Sequence[Job]:
        """Ends all jobs of a kind. Raises ``AccessDenied`` for who is no administrator."""
        authorise_system(principal, Access.ADMIN)

        def stop(tx: Transaction) -> Sequence[Job]:
            pending = jobs.newest(tx, MAX_LISTED, kind, only_pending=True)
            return [jobs.end(tx, job, State.ABORTED, now()) for job in pending]

        return await self._rooms.catalog.write(stop)

    # --- starting ----------------------------------------------------------------------------------------------------

    async def copy(
        self,
        principal: Principal,
        name: BucketName,
        to: BucketName,
        selection: Selection | None = None,
        renaming: Renaming = SAME_NAMES,
        *,
        prefix: str = "",
        is_dry_run: bool = False,
        goes_on: bool = False,
    ) -> Job:
        """Copies the objects that are selected, or all whose names begin with ``prefix``; no byte is read, unless
        another provider keeps one of the buckets.

        A bucket that is not there is made, with the properties of the one that is copied, if that is ours. A dry run
        only counts. With ``goes_on`` an object that cannot be copied does not end the job. Raises ``InvalidArgument``
        for a bucket onto itself.
        """
        await self._bring_in(principal, name, "s3:GetObject")
        await self._bring_in(principal, to, "s3:PutObject")
        kind = Kind.COPY_BUCKET if selection is None else Kind.COPY_OBJECTS
        chosen = Prefix(prefix) if selection is None else selection

        def prepare(tx: Transaction) -> Prepared:
            source = _source(tx, principal, name, "s3:GetObject", chosen, elsewhere=True)
            destination = _destination(tx, principal, to, source, may_create=not is_dry_run)
            onto_itself = destination is not None and remote_of(destination) == remote_of(source)
            if onto_itself and source.is_elsewhere and isinstance(chosen, Prefix):
                # Its listing would show the copies too, and nothing tells them from the others.
                raise errors.InvalidArgument(
                    f'to copy within bucket "{name.uri}", which another provider keeps, name the objects: by a list, '
                    "or by a template with a range of numbers"
                )
            if onto_itself and (selection is None or renaming == SAME_NAMES):
                raise errors.InvalidArgument(f'cannot copy bucket "{name.uri}" onto itself')
            arguments = Copy(chosen, renaming, is_dry_run, goes_on, tx.sequence() if onto_itself else None)
            goal = WorkedOn(0, to) if destination is None else _worked_on(destination)
            return Prepared(arguments, _worked_on(source), goal, _total(tx, source, chosen))

        return await self._start(principal, kind, prepare)

    async def move(self, principal: Principal, name: BucketName, to: BucketName) -> Job:
        """Renames a bucket, which is done at once: the job is over. Raises as ``Buckets.rename``."""
        await self._buckets.rename(principal, name, to)

        def prepare(tx: Transaction) -> Prepared:
            bucket = buckets.get(tx, to)
            objects, _ = buckets.size(tx, bucket)
            return Prepared(Nothing(), WorkedOn(bucket.id, name), _worked_on(bucket), objects)

        return await self._start(principal, Kind.MOVE_BUCKET, prepare, is_over=True)

    async def delete(
        self, principal: Principal, name: BucketName, selection: Selection, *, goes_on: bool = False
    ) -> Job:
        """Deletes the objects that are selected. Those that are not there are no error; newer ones stay, unless another
        provider keeps the bucket.
        """
        await self._bring_in(principal, name, "s3:DeleteObject")

        def prepare(tx: Transaction) -> Prepared:
            bucket = _source(tx, principal, name, "s3:DeleteObject", selection, elsewhere=True)
            arguments = Delete(selection, tx.sequence(), goes_on)
            return Prepared(arguments, _worked_on(bucket), None, _total(tx, bucket, selection))

        return await self._start(principal, Kind.DELETE_OBJECTS, prepare)

    async def archive(
        self,
        principal: Principal,
        name: BucketName,
        to: BucketName,
        key: str,
        selection: Selection,
        *,
        mime: str = "",
        names_bucket: bool = False,
        appends: bool = False,
        goes_on: bool = False,
    ) -> Job:
        """Puts the objects that are selected together into one of another bucket, or the same.

        ``mime`` says which kind of archive it is where the key's ending does not. With ``appends`` an archive that is
        there grows, otherwise it is replaced. While it is made it is a multipart upload of its bucket. Raises
        ``InvalidArgument``, ``NotImplementedByServer`` for a format that we do not have.
        """
        check_key(key)
        arguments = Archive(selection, key, archive_format(key, mime), names_bucket, appends, goes_on)
        await self._bring_in(principal, name, "s3:GetObject")

        def prepare(tx: Transaction) -> Prepared:
            source = _source(tx, principal, name, "s3:GetObject", selection, elsewhere=True)
            destination = buckets.get(tx, to)
            authorise(principal, destination, "s3:PutObject")
            if appends:
                authorise(principal, destination, "s3:GetObject")
            return Prepared(arguments, _worked_on(source), _worked_on(destination), _total(tx, source, selection))

        return await self._start(principal, Kind.ARCHIVE, prepare)

    async def promote(
        self,
        principal: Principal,
        name: BucketName,
        path: str,
        object_name: str = "",
        *,
        is_recursive: bool = False,
        overwrites: bool = False,
        deletes_source: bool = False,
    ) -> Job:
        """Makes objects of the files at an absolute path, which has to be in a folder that is open for this.

        ``object_name`` is what a file is to be called, or what comes before the names of a folder's files. Links are
        not followed. Raises ``InvalidArgument`` for a path that is not there.
        """
        await self._rooms.bucket(principal, name, "ais:PromoteFile")
        root, relative = self.promotable.locate(path)
        is_folder = await asyncio.to_thread(promotion.is_folder, root, relative)
        if not is_folder:
            file_name = relative.rpartition("/")[2]
            object_name = object_name + file_name if object_name[-1:] in {"", "/"} else object_name
            check_key(object_name)
        arguments = Promote(root, relative, object_name, is_recursive, overwrites, deletes_source)

        def prepare(tx: Transaction) -> Prepared:
            bucket = buckets.get(tx, name)
            authorise(principal, bucket, "ais:PromoteFile")
            return Prepared(arguments, None, _worked_on(bucket), None if is_folder else 1)

        return await self._start(principal, Kind.PROMOTE, prepare)

    async def make_copies(self, principal: Principal, name: BucketName, copies: int) -> Job:
        """Keeps the objects of a bucket in as many data folders from now on; the job waits until they are there.

        Raises ``InvalidArgument`` for a number that cannot be.
        """
        changes: Mapping[str, object] = (
            {"mirror.enabled": False} if copies == 1 else {"mirror.enabled": True, "mirror.copies": copies}
        )
        await self._buckets.set_properties(principal, name, changes)
        return await self.await_copies(principal, name)

    async def await_copies(self, principal: Principal, name: BucketName) -> Job:
        """A job that waits until a bucket's objects are in as many data folders as its properties ask for."""

        def prepare(tx: Transaction) -> Prepared:
            bucket = buckets.get(tx, name)
            authorise(principal, bucket, "ais:PatchBucket")
            return Prepared(MakeCopies(bucket.copies), _worked_on(bucket))

        return await self._start(principal, Kind.MAKE_COPIES, prepare)

    async def evict(self, principal: Principal, name: BucketName, selection: Selection) -> Job:
        """Forgets what is cached of the objects that are selected; their provider keeps them.

        Raises ``InvalidArgument`` for a bucket of ours.
        """

        def prepare(tx: Transaction) -> Prepared:
            bucket = _source(tx, principal, name, "s3:DeleteObject", selection, elsewhere=True)
            if not bucket.is_elsewhere:
                raise errors.InvalidArgument(
                    f'bucket "{name.uri}" has nothing to evict: no provider keeps it, what is in it is nowhere else'
                )
            return Prepared(Evict(selection), _worked_on(bucket), None, _named(selection))

        return await self._start(principal, Kind.EVICT_OBJECTS, prepare)

    async def prefetch(
        self,
        principal: Principal,
        name: BucketName,
        selection: Selection,
        *,
        latest: bool = False,
        goes_on: bool = False,
    ) -> Job:
        """Reads the objects that are selected from their provider, as far as they are not cached.

        With ``latest`` the provider is asked of those that are, too. Raises ``InvalidArgument`` for a bucket of ours.
        """
        await self._rooms.bucket(principal, name, "s3:GetObject", elsewhere=True)

        def prepare(tx: Transaction) -> Prepared:
            bucket = _source(tx, principal, name, "s3:GetObject", selection, elsewhere=True)
            if not bucket.is_elsewhere:
                raise errors.InvalidArgument(
                    f'bucket "{name.uri}" has nothing to prefetch: no provider keeps it, all that is in it is here'
                )
            arguments = Prefetch(selection, latest, goes_on)
            return Prepared(arguments, _worked_on(bucket), None, _named(selection))

        return await self._start(principal, Kind.PREFETCH_OBJECTS, prepare)

    async def clean_up(self, principal: Principal) -> Job:
        """Collects garbage and removes what crashes left behind, as is done every now and then, at once."""
        authorise_system(principal, Access.ADMIN)
        return await self._start(principal, Kind.CLEAN_UP, lambda _: Prepared(Nothing()))

    async def evict_least_used(self, principal: Principal) -> Job:
        """Evicts what was not read for long and is kept by a provider too, where a disk is fuller than it may be.

        That is done every now and then; this does it at once.
        """
        authorise_system(principal, Access.ADMIN)
        return await self._start(principal, Kind.EVICT_LEAST_USED, lambda _: Prepared(Nothing()))

    async def _bring_in(self, principal: Principal, name: BucketName, action: str) -> None:
        """Makes a bucket of another provider's known here, if that is the first use of it. Raises as that does."""
        if name.is_remote:
            await self._rooms.bucket(principal, name, action, elsewhere=True)

    async def _start(
        self,
        principal: Principal,
        kind: Kind,
        prepare: Callable[[Transaction], Prepared],
        *,
        is_over: bool = False,
    ) -> Job:
        def start(tx: Transaction) -> Job:
            if sum(jobs.counts(tx)) >= MAX_PENDING:
                raise errors.SlowDown(
                    f"{MAX_PENDING} jobs are running or waiting to: start others when some have ended"
                )
            prepared = prepare(tx)
            job = Job(
                _new_id(), kind, State.QUEUED, principal, prepared.source, prepared.destination, now(),
                total=prepared.total,
            )  # fmt: skip
            jobs.add(tx, job, _encode(prepared.arguments))
            if not is_over:
                return job
            done = msgspec.structs.replace(job, started=job.created, objects=job.total or 0)
            return jobs.end(tx, done, State.FINISHED, now())

        return await self._rooms.catalog.write(start)


def archive_format(key: str, mime: str) -> ArchiveFormat:
    """Which format is meant, by a MIME type or an ending, or else by the key's own ending.

    Raises ``InvalidArgument``, ``NotImplementedByServer``.
    """
    if mime:
        word = mime.rpartition("/")[2].removeprefix("x-").removeprefix(".")
        ending = "." + {"gzip": "tgz", "zip-compressed": "zip"}.get(word, word)
        if ending not in list(ArchiveFormat):
            raise errors.NotImplementedByServer(
                f'archives of type "{mime}" are not implemented: .tar, .tgz and .zip are'
            )
        return ArchiveFormat(ending)
    for known in ArchiveFormat:
        if key.endswith(known):
            return known
    if key.endswith(".tar.lz4"):
        raise errors.NotImplementedByServer("archives of type .tar.lz4 are not implemented: .tar, .tgz and .zip are")
    raise errors.InvalidArgument(
        f'"{key}" does not end as an archive does (.tar, .tgz, .tar.gz, .zip): say its mime type'
    )


def _is_starter(principal: Principal, job: Job) -> bool:
    return bool(principal.id) and principal.id == job.starter.id


def _new_id() -> str:
    return secrets.choice(string.ascii_letters) + "".join(
        secrets.choice(string.ascii_letters + string.digits) for _ in range(_ID_LENGTH - 1)
    )


def _worked_on(bucket: Bucket) -> WorkedOn:
    return WorkedOn(bucket.id, bucket.identity)


def _source(
    tx: Transaction,
    principal: Principal,
    name: BucketName,
    action: str,
    selection: Selection,
    *,
    elsewhere: bool = False,
) -> Bucket:
    """The bucket that objects are selected from, if the caller may do this to them."""
    bucket = buckets.get(tx, name)
    authorise(principal, bucket, action, elsewhere=elsewhere)
    if isinstance(selection, Prefix):
        authorise(principal, bucket, "s3:ListBucket", elsewhere=elsewhere)
    return bucket


def _destination(
    tx: Transaction, principal: Principal, name: BucketName, source: Bucket, *, may_create: bool
) -> Bucket | None:
    """The bucket that is written to, made where it is not there. None in a dry run that would make it."""
    try:
        bucket = buckets.get(tx, name)
    except errors.NoSuchBucket:
        if name.is_remote:
            raise
        authorise_system(principal, Access.CREATE_BUCKET)
        check_bucket_name(name.name)
        if not may_create:
            return None
        properties = inherited(configuration.get(tx)) if source.is_elsewhere else source.properties
        return buckets.create(tx, name, principal.id, source.region, now(), properties=properties)
    authorise(principal, bucket, "s3:PutObject", elsewhere=True)
    return bucket


def _named(selection: Selection) -> int | None:
    """How many objects are named; None where only a listing would tell."""
    return None if isinstance(selection, Prefix) else selection.count


def _total(tx: Transaction, bucket: Bucket, selection: Selection) -> int | None:
    if not isinstance(selection, Prefix):
        return selection.count
    return None if selection.prefix or bucket.is_elsewhere else buckets.size(tx, bucket)[0]
