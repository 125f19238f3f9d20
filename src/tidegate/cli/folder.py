"""What the commands that work on a data folder share: its option, and one place where their errors become a line and an
exit code.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.serve import fail
from tidegate.settings import DECLARED

FAILED = 1

_SETTING = DECLARED["data"]
DEFAULT_DATA = Path(_SETTING.shown_default)


def _home(text: str) -> Path:
    """The home folder; the variable may name further ones behind it."""
    return Path(text if os.pathsep not in text or Path(text).exists() else text.split(os.pathsep, maxsplit=1)[0])


DataOption = Annotated[
    Path,
    typer.Option(
        _SETTING.flag,
        envvar=_SETTING.variable,
        metavar="DIR",
        parser=_home,
        help="The data folder: the first, if several.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one value a line.")]


@contextmanager
def folder(data: Path, code: int = FAILED) -> Iterator[None]:
    """For a command on a data folder that is there. What goes wrong meanwhile becomes a message and the exit code."""
    from tidegate.catalog.sqlite import CATALOG_FILE, has_catalog

    with told(data, code):
        if not has_catalog(data):
            fail(f"there is no data folder at {data}. A server makes one: tidegate serve --data {data}", code)
        owner = (data / CATALOG_FILE).stat().st_uid
        if owner != os.geteuid():  # what we make in there, root's locks for one, would be in its server's way
            fail(f"{data} belongs to the user {_name(owner)}: run this as that user", code)
        yield


@contextmanager
def told(data: Path, code: int = FAILED) -> Iterator[None]:
    """Turns what goes wrong with a folder into a message and the exit code."""
    import apsw

    from tidegate import errors

    try:
        yield
    except errors.Error as error:
        fail(" ".join([error.message, *(f"({name} {value})" for name, value in error.fields.items())]), code)
    except OSError as error:
        fail(f"cannot use {error.filename or data}: {error.strerror or error}", code)
    except apsw.Error as error:
        fail(f"cannot use the catalog in {data}: {error}", code)


def _name(user: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
