"""``tidegate folder``: the data folders of a store, and what to do when a disk is lost or to be taken out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from tidegate.cli.folder import DEFAULT_DATA, FAILED, DataOption, JsonOption, folder, told
from tidegate.cli.serve import fail

if TYPE_CHECKING:
    from tidegate.gateway.folders import Folders

T = TypeVar("T")

folders = typer.Typer(
    help="Look after further data folders, which are added by tidegate serve --data HOME --data FURTHER.",
    no_args_is_help=True,
)

FolderPath = Annotated[Path, typer.Argument(metavar="DIR", help="A further data folder.", show_default=False)]


@folders.command("ls")
def list_folders(data: DataOption = DEFAULT_DATA, as_json: JsonOption = False) -> None:
    """List the data folders, and whether each is there."""
    for known, is_there in _with_folders(data, lambda each: each.everyone()):
        state = "leaving" if known.is_leaving else "there" if is_there else "missing"
        if as_json:
            import msgspec

            print(
                msgspec.json.encode({"number": known.number, "path": known.path or str(data), "state": state}).decode()
            )
        else:
            print(f"{known.number}  {known.path or data}  {state}")


@folders.command("renew")
def renew(path: FolderPath, data: DataOption = DEFAULT_DATA) -> None:
    """Say that what was in a folder is lost, and that it is there again, empty: a server fills it again.

    Copies that were lost are made again from the others.
    """
    _with_folders(data, lambda each: each.renew(path))
    print(f"{path} is taken as a new folder; a server makes the copies again that were lost with the old one")


@folders.command("remove")
def remove(
    path: FolderPath,
    data: DataOption = DEFAULT_DATA,
    lost: Annotated[bool, typer.Option("--lost", help="The folder will not come back: give up what is in it.")] = False,
) -> None:
    """Take a folder out: a server brings what is in it to the others, and says in its log when it is done."""
    resolved = str(path.resolve())
    for known, is_there in _with_folders(data, lambda each: each.everyone()):
        if known.path == resolved and not is_there and not lost:
            fail(f"{path} is not there: bring it back, or give up what has no copy elsewhere (--lost)", FAILED)
    _with_folders(data, lambda each: each.remove(path))
    print(f"{path} is being emptied by the server; tidegate folder ls shows it until that is done")


def recover(
    source: Annotated[Path, typer.Argument(metavar="DISK", help="A further data folder.", show_default=False)],
    data: DataOption = DEFAULT_DATA,
    older: Annotated[bool, typer.Option("--older", help="Take this copy although another is newer.")] = False,
) -> None:
    """Bring a store back whose home folder is lost, from the copy of the catalog in a further folder.

    The folder given by --data becomes the home folder. It has to be empty, or not there, or have blobs only.
    """
    import asyncio
    from datetime import UTC, datetime

    from tidegate.jobs import recover as job
    from tidegate.jobs.backup import BackupError

    with told(source):
        try:
            done = asyncio.run(job.recover(source, data, may_be_older=older))
        except BackupError as error:
            fail(str(error), FAILED)
    taken = datetime.fromtimestamp(done.taken, UTC).isoformat(timespec="seconds")
    print(f"recovered {done.objects} objects of {done.bytes} bytes, as they were at {taken}, to {data}")
    for path, is_there in done.folders:
        print(f"further data folder: {path}{'' if is_there else ' (not there)'}")
    words = " ".join(f"--data {path}" for path in (data, *(path for path, _ in done.folders)))
    print(f"next: tidegate serve {words}, and tidegate fsck --data {data} for what has been lost")


def _with_folders(data: Path, work: Callable[[Folders], Awaitable[T]]) -> T:
    import asyncio

    from tidegate.gateway import open_gateway
    from tidegate.settings import Settings

    async def run() -> T:
        gateway = open_gateway(data, inline_limit=Settings().inline_limit)
        try:
            await gateway.folders.open()
            return await work(gateway.folders)
        finally:
            await gateway.close()

    with folder(data):
        return asyncio.run(run())
