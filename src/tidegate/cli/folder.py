"""What the commands that work on a data folder share: its option, and one place where their errors become a line and an
exit code.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.serve import fail
from tidegate.settings import DECLARED

FAILED = 1

_SETTING = DECLARED["data"]
DEFAULT_DATA = Path(str(_SETTING.default))

DataOption = Annotated[
    Path,
    typer.Option(_SETTING.flag, envvar=_SETTING.variable, metavar=_SETTING.option.metavar, help=_SETTING.option.help),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one value a line.")]


@contextmanager
def folder(data: Path, code: int = FAILED) -> Iterator[Path]:
    """A data folder that is there. What goes wrong with it meanwhile becomes a message and the exit code."""
    import apsw

    from tidegate import errors
    from tidegate.catalog.sqlite import has_catalog

    if not has_catalog(data):
        fail(f"there is no data folder at {data}. A server makes one: tidegate serve --data {data}", code)
    try:
        yield data
    except errors.Error as error:
        fail(" ".join([error.message, *(f"({name} {value})" for name, value in error.fields.items())]), code)
    except OSError as error:
        fail(f"cannot use {error.filename or data}: {error.strerror or error}", code)
    except apsw.Error as error:
        fail(f"cannot use the catalog in {data}: {error}", code)
