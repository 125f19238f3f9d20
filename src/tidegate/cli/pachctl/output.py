"""How results are printed: as tables and views, or with ``--raw`` as the documents that the server sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Final, Literal, TypeVar

import msgspec
import typer

from tidegate.cli.failures import Failure
from tidegate.cli.pachctl import text

T = TypeVar("T")

Encoding = Literal["json", "yaml"]
_INDENT: Final = 2

RawOption = Annotated[bool, typer.Option("--raw", help="Print what the server sent, as JSON.")]
OutputOption = Annotated[
    Encoding | None, typer.Option("--output", "-o", metavar="json|yaml", help="How to print --raw.", show_default=False)
]
FullTimestampsOption = Annotated[
    bool, typer.Option("--full-timestamps", help="Print times, not how long ago they are.")
]


def is_raw(raw: bool, encoding: Encoding | None) -> bool:
    """Whether the documents themselves are wanted. Raises ``Failure`` for an encoding of what is not."""
    if encoding and not raw:
        raise Failure("cannot set --output (-o) without --raw")
    return raw


def table(
    items: Iterable[msgspec.Raw],
    kind: type[T],
    header: Sequence[str],
    row: Callable[[T], Sequence[str]],
    minimal: Sequence[int] = (),
) -> None:
    """Prints a table, a row for each document."""
    rows = (row(msgspec.json.decode(item, type=kind)) for item in items)
    for line in text.table(header, rows, minimal):
        print(line)


def documents(items: Iterable[msgspec.Raw | bytes], encoding: Encoding | None) -> None:
    """Prints documents, one below the other."""
    for item in items:
        print(_yaml(item) if encoding == "yaml" else msgspec.json.format(bytes(item), indent=_INDENT).decode())


def _yaml(item: msgspec.Raw | bytes) -> str:
    try:
        return f"---\n{msgspec.yaml.encode(msgspec.json.decode(item)).decode().rstrip()}"
    except ImportError:
        raise Failure("YAML needs the package PyYAML, which is not here", "-o json") from None
