"""``tidegate serve``: a flag for each setting, made from its declaration."""

from __future__ import annotations

import inspect
import sys
from typing import Annotated, Any, NoReturn

import typer

from tidegate import settings
from tidegate.settings import DECLARED, Declared, SettingsError

# Exit codes: what was asked for makes no sense, or cannot be done right now.
WRONG_USAGE = 2
CANNOT_START = 1


def serve(**flags: object) -> None:
    """Run a server.

    Each option is also a variable (--repos-port is TIDEGATE_REPOS_PORT) and a key of the file given by --config
    (repos_port). Options win over variables, variables over the file.
    """
    try:
        wanted = settings.load(flags)
    except SettingsError as error:
        fail(str(error), WRONG_USAGE)
    from tidegate.server.supervisor import StartError, run

    try:
        run(wanted)
    except StartError as error:
        fail(str(error), CANNOT_START)


def fail(message: str, code: int) -> NoReturn:
    """Says in one line what is wrong, and exits."""
    print(f"tidegate: {message}", file=sys.stderr)
    raise SystemExit(code)


def _parameter(each: Declared) -> inspect.Parameter:
    """The flag of a setting. All are None unless given, so that what was not given can come from elsewhere."""
    kind: Any
    names = [each.flag]
    if each.option.is_switch:
        kind = bool | None
        names = [f"{each.flag}/{each.flag.replace('--', '--no-', 1)}"]
    else:
        kind = list[str] | None if isinstance(each.default, tuple) else str | None
    text = f"{each.option.help} (default: {each.shown_default})"
    option = typer.Option(*names, help=text, metavar=each.option.metavar or None, show_default=False)
    return inspect.Parameter(
        each.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option]
    )


_PARAMETERS = [_parameter(each) for each in DECLARED.values()]
# What typer reads a command's options from.
serve.__signature__ = inspect.Signature(_PARAMETERS)  # type: ignore[attr-defined]
serve.__annotations__ = {parameter.name: parameter.annotation for parameter in _PARAMETERS}
