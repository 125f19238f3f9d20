"""``tidegate fsck``, ``gc``, ``backup`` and ``restore``: looking after a data folder, beside a running server or
without one.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.folder import DEFAULT_DATA, FAILED, DataOption, JsonOption, folder, told
from tidegate.cli.serve import fail

if TYPE_CHECKING:
    from tidegate.gateway.rooms import Rooms
    from tidegate.jobs.backup import Outcome
    from tidegate.jobs.fsck import Finding

# Exit codes of fsck. Backup and restore exit with DAMAGED where files are missing.
REPAIRED = 1
DAMAGED = 2
CANNOT_CHECK = 3

_DURATION = re.compile(r"(\d{1,9})([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}

CopyOption = Annotated[
    bool, typer.Option("--copy", help="Copy also where a hard link would do; one disk's links die with it.")
]


def fsck(
    data: DataOption = DEFAULT_DATA,
    repair: Annotated[bool, typer.Option(help="Mend what can be mended without losing anything.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Check every reference and every byte of a data folder.

    Exits with 0 where all is well, 1 where all that was wrong has been repaired, 2 where damage remains, and 3 where it
    cannot check.
    """
    import asyncio

    with folder(data, CANNOT_CHECK):
        code = asyncio.run(_fsck(data, repairs=repair, as_json=as_json))
    raise SystemExit(code)


def gc(
    data: DataOption = DEFAULT_DATA,
    grace: Annotated[
        str, typer.Option(metavar="TIME", help="How long deleted bytes stay for reads under way: 90s, 15m, 2h.")
    ] = "15m",
) -> None:
    """Collect garbage now, as a server does by itself every now and then."""
    import asyncio

    matched = _DURATION.fullmatch(grace)
    if matched is None:
        raise typer.BadParameter(f"{grace!r} is not a time such as 90s, 15m or 2h", param_hint="--grace")
    with folder(data):
        asyncio.run(_gc(data, int(matched[1]) * _SECONDS[matched[2]]))


def backup(
    target: Annotated[
        Path, typer.Argument(metavar="DEST", help="An empty folder, or an earlier backup.", show_default=False)
    ],
    data: DataOption = DEFAULT_DATA,
    copy: CopyOption = False,
) -> None:
    """Back a data folder up, also while a server runs. Into an earlier backup only what is new is copied.

    The backup holds secret.key, with which the users' secrets can be read: keep it as safe as the data folder.
    """
    import asyncio

    from tidegate.jobs import backup as job

    with folder(data), _backup_errors():
        outcome = asyncio.run(job.backup(data, target, copies=copy))
    _report(outcome, f"backed up {data} to {target}")


def restore(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A backup.", show_default=False)],
    data: DataOption = DEFAULT_DATA,
    copy: CopyOption = False,
) -> None:
    """Make a data folder of a backup. The folder has to be empty, or not there."""
    import asyncio

    from tidegate.jobs import backup as job

    with told(source), _backup_errors():
        outcome = asyncio.run(job.restore(source, data, copies=copy))
    _report(outcome, f"restored {source} to {data}")


async def _fsck(data: Path, *, repairs: bool, as_json: bool) -> int:
    import msgspec

    from tidegate.clock import now
    from tidegate.jobs import garbage
    from tidegate.jobs.fsck import fsck as check
    from tidegate.jobs.scrub import Scrubbed

    found = repaired = 0
    scrubbed = Scrubbed()
    with _only_one(data):
        async with _rooms(data) as rooms:
            async for finding in check(rooms, data, scrubbed, repairs=repairs):
                found += 1
                repaired += finding.repaired
                print(msgspec.json.encode(finding).decode() if as_json else _in_words(finding), flush=True)
            with _alone(data) as is_alone:
                unknown = 0
                if is_alone and repairs:
                    unknown = await garbage.sweep(rooms, now())
                elif is_alone:
                    unknown = sum([len(names) async for names in garbage.unknown_files(rooms, now())])
    remain = found - repaired
    summary = {
        "found": found,
        "repaired": repaired,
        "blobs": scrubbed.blobs,
        "bytes": scrubbed.bytes,
        "unknown_files": unknown,
    }
    if as_json:
        print(msgspec.json.encode(summary).decode())
    else:
        print(f"checked {scrubbed.blobs} blobs of {scrubbed.bytes} bytes: {_verdict(found, repaired)}")
        if unknown:
            print(f"{unknown} files of uploads that a crash cut short{' removed' if repairs else ''}")
    return DAMAGED if remain else REPAIRED if found else 0


def _verdict(found: int, repaired: int) -> str:
    return f"{found} found wrong, {repaired} of them repaired" if found else "all is well"


def _in_words(finding: Finding) -> str:
    where = f"{finding.bucket}/{finding.key}" if finding.bucket or finding.key else ""
    if finding.version_id:
        where += f" version {finding.version_id}"
    if finding.part is not None:
        where += f" part {finding.part} of upload {finding.upload_id}"
    if finding.blob is not None:
        where += f" (blob {finding.blob})"
    mark = "repaired" if finding.repaired else "NOT REPAIRED"
    return f"{finding.fault}: {f'{where.strip()}: ' if where else ''}{finding.detail} [{mark}]"


async def _gc(data: Path, grace_seconds: int) -> None:
    from tidegate.clock import SECOND, now
    from tidegate.jobs import garbage
    from tidegate.jobs.runner import server_started

    async with _rooms(data) as rooms:
        uploads = await garbage.forget_uploads(rooms)
        blobs = await garbage.collect(rooms, data, grace_seconds * SECOND)
        with _alone(data) as is_alone:
            files = await garbage.sweep(rooms, now() if is_alone else server_started(data))
    print(f"forgot {uploads} uploads that are over, removed {blobs} deleted blobs and {files} files that nothing named")


def _report(outcome: Outcome, done: str) -> None:
    print(f"{done}: {outcome.objects} objects of {outcome.bytes} bytes")
    counts = (
        f"{outcome.copied} copied",
        f"{outcome.linked} linked",
        f"{outcome.kept} kept",
        f"{outcome.removed} removed",
    )
    print(f"files: {', '.join(counts)}")
    if outcome.has_secrets:
        print("secret.key is among it: whoever has it can read the users' secret keys")
    if outcome.missing:
        fail(
            f"{len(outcome.missing)} files are missing, beginning with {outcome.missing[0]}: run tidegate fsck", DAMAGED
        )


@asynccontextmanager
async def _rooms(data: Path) -> AsyncIterator[Rooms]:
    from tidegate.gateway import open_gateway
    from tidegate.settings import Settings

    gateway = open_gateway(data, inline_limit=Settings().inline_limit)
    try:
        await gateway.folders.open()
        yield gateway.rooms
    finally:
        await gateway.close()


@contextmanager
def _alone(data: Path) -> Iterator[bool]:
    """Whether no server works on the folder; if so, none begins to while this is open."""
    from tidegate.server import locks

    try:
        with locks.hold(data):
            yield True
    except locks.InUseError:
        yield False


@contextmanager
def _only_one(data: Path) -> Iterator[None]:
    """Repairs are relative to what was found: two checks at once would do them twice."""
    import fcntl

    with (data / "fsck.lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fail(f"another check of {data} is running", CANNOT_CHECK)
        yield


@contextmanager
def _backup_errors() -> Iterator[None]:
    from tidegate.jobs.backup import BackupError

    try:
        yield
    except BackupError as error:
        fail(str(error), FAILED)
