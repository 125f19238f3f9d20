"""Runs a command line that is a client: one place where whatever goes wrong becomes a line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache

import typer
from typer.main import get_command

from tidegate import errors
from tidegate.cli import say
from tidegate.cli.failures import Failure

FAILED = 1
INTERRUPTED = 130


def run(app: typer.Typer, name: str, *, unnamed: str = "") -> int:
    """Runs this process's command; its exit code. ``unnamed`` is a command that help does not name.

    What goes wrong for a reason that its user can understand is told, and nothing else is caught.
    """
    try:
        code = _command(app)(prog_name=name, standalone_mode=False)
        sys.stdout.flush()
    except (Failure, errors.Error) as error:
        say.error(error.message, getattr(error, "hint", ""))
    except typer.TyperException as error:
        say.error(*_explained(error, unnamed))
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:  # whoever read has read enough; nothing may be flushed to them on the way out
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        say.error(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else FAILED
    else:
        return code if isinstance(code, int) else 0
    return FAILED


@cache
def _command(app: typer.Typer) -> Callable[..., object]:
    """The commands put together: once, also for a process that runs many, as tests do."""
    return get_command(app)


def _explained(error: typer.TyperException, unnamed: str) -> tuple[str, str]:
    """What is wrong with how a command was called, and what may have been meant."""
    if meant := getattr(error, "possibilities", None):
        return error.message, f"Did you mean {' or '.join(sorted(meant))}?"
    context = getattr(error, "ctx", None)
    path = context.command_path if context else ""
    path = path.replace(f" {unnamed}", "") if unnamed else path
    return error.format_message(), f"{path} --help tells how it is used" if path else ""
