"""``ais ls``: buckets, and what is in them."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Annotated, Final

import msgspec
import typer

from tidegate import errors
from tidegate.cli.ais import buckets, calls, selection, shapes, text
from tidegate.cli.ais.client import connect
from tidegate.cli.ais.completion import complete_buckets
from tidegate.cli.ais.grammar import JsonOption, NoHeaderOption, PrefixOption, TemplateOption, UnitsOption
from tidegate.cli.ais.shapes import Entry
from tidegate.cli.transport import Client
from tidegate.names import AIS, SCHEMES, BucketName, split_uri

# A listing of more than this says at its end how long it is, to who reads it on a terminal.
_SHORT: Final = 10

_STATUS: Final = ("ok", "misplaced(cluster)", "misplaced(mountpath)", "replica", "replica(object-is-missing)")
# Properties that AIStore's messages spell in other ways too.
_ALIASES: Final[Mapping[str, str]] = MappingProxyType({"target_url": "location", "node": "location"})


def _status(entry: Entry) -> str:
    if entry.flags & shapes.IS_GONE:
        return "deleted"
    if entry.flags & shapes.IS_CHANGED:
        return "version-changed"
    status = entry.flags & shapes.STATUS
    return _STATUS[status] if status < len(_STATUS) else "n/a"


# A property's column: its heading, and the cell of an entry.
_COLUMNS: Final[Mapping[str, tuple[str, Callable[[Entry, text.Units], str]]]] = MappingProxyType(
    {
        "name": ("NAME", lambda entry, _: entry.name),
        "size": ("SIZE", lambda entry, units: "" if _is_directory(entry) else text.size(entry.size, units)),
        "checksum": ("CHECKSUM", lambda entry, _: entry.checksum),
        "atime": ("ATIME", lambda entry, _: text.rfc822(entry.atime)),
        "version": ("VERSION", lambda entry, _: entry.version),
        "copies": ("COPIES", lambda entry, _: str(entry.copies) if entry.copies else ""),
        "custom": ("CUSTOM", lambda entry, _: entry.custom),
        "location": ("LOCATION", lambda entry, _: entry.location),
        "cached": ("CACHED", lambda entry, _: "yes" if entry.flags & shapes.IS_CACHED else "no"),
        "status": ("STATUS", lambda entry, _: _status(entry)),
    }
)
_ALL: Final = ("name", "size", "checksum", "atime", "version", "copies", "custom", "location", "status")
_OURS: Final = ("name", "size")
_REMOTE: Final = ("name", "size", "cached", "status")


class Wanted(msgspec.Struct, frozen=True):
    """Which objects to list, and what of them to show."""

    bucket: BucketName
    prefix: str
    columns: tuple[str, ...]
    flags: int
    start_after: str
    page_size: int
    limit: int
    is_wanted: Callable[[str], bool]


def ls(
    uri: Annotated[
        str,
        typer.Argument(
            metavar="[PROVIDER:][BUCKET[/PREFIX]]",
            help="What to list; nothing for all buckets.",
            show_default=False,
            autocompletion=complete_buckets,
        ),
    ] = "",
    props: Annotated[
        str,
        typer.Option("--props", metavar="LIST", help=f"Columns: all, or of {','.join(_COLUMNS)}.", show_default=False),
    ] = "",
    all: Annotated[bool, typer.Option("--all", help="All columns; of PROVIDER: all buckets that it has.")] = False,
    prefix: PrefixOption = "",
    start_after: Annotated[
        str, typer.Option("--start-after", metavar="NAME", help="Begin behind this name.", show_default=False)
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=0, help="At most so many names; 0 is all.")] = 0,
    page_size: Annotated[int, typer.Option("--page-size", min=0, help="Names to ask for at a time.")] = 0,
    regex: Annotated[str, typer.Option("--regex", metavar="RE", help="Names that match.", show_default=False)] = "",
    template: TemplateOption = "",
    is_cached: Annotated[bool, typer.Option("--cached", help="Only what is here.")] = False,
    is_not_cached: Annotated[bool, typer.Option("--not-cached", help="Only what is not here.")] = False,
    compares: Annotated[
        bool, typer.Option("--diff", help="Compare what is here with what the provider has, in the column STATUS.")
    ] = False,
    is_flat: Annotated[
        bool, typer.Option("--non-recursive", "--nr", help="Directories instead of what is in them.")
    ] = False,
    with_archives: Annotated[bool, typer.Option("--archive", help="Also what is in archives.")] = False,
    name_only: Annotated[bool, typer.Option("--name-only", help="Only names.")] = False,
    count_only: Annotated[bool, typer.Option("--count-only", help="Only how many there are.")] = False,
    with_summary: Annotated[bool, typer.Option("--summary", help="Sum buckets up.")] = False,
    units: UnitsOption = "iec",
    no_headers: NoHeaderOption = False,
    no_footers: Annotated[bool, typer.Option("--no-footers", help="No last line with the number of names.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List buckets or objects.

    ais ls; ais ls ais:; ais ls ais://bucket; ais ls ais://bucket/prefix
    """
    provider, namespace, name, key = split_uri(uri, "" if not uri else None)
    client = connect()
    if with_summary:
        bucket = BucketName(name, provider, namespace) if name else None
        buckets.print_summary(client, bucket, provider, key or prefix, units, no_headers=no_headers, as_json=as_json)
        return
    if not name:
        found = calls.buckets(client, provider, namespace, includes_outside=all and bool(provider))
        _print_buckets(found, uri, provider, no_headers=no_headers, as_json=as_json)
        return
    bucket = BucketName(name, provider, namespace)
    names = frozenset(selection.expand(template)) if template else None
    pattern = _pattern(regex)
    wanted = Wanted(
        bucket,
        key + prefix,
        _columns("name" if name_only else "all" if all else props, is_remote=bucket.is_remote or compares),
        shapes.CACHED * is_cached
        | shapes.COMPARED * compares
        | shapes.NOT_CACHED * is_not_cached
        | shapes.NOT_RECURSIVE * is_flat
        | shapes.ARCHIVED * with_archives
        | shapes.NAME_ONLY * (name_only or count_only),
        start_after,
        page_size,
        limit,
        lambda each: (names is None or each in names) and (pattern is None or pattern.search(each) is not None),
    )
    if count_only:
        print(sum(len(page) for page in _entries(client, wanted)))
    elif as_json:
        _print_json(client, wanted)
    else:
        _print_objects(client, wanted, units, no_headers=no_headers, no_footers=no_footers)


def _columns(props: str, *, is_remote: bool) -> tuple[str, ...]:
    """The columns that were asked for, the name first. Raises ``InvalidArgument``."""
    if not props:
        return _REMOTE if is_remote else _OURS
    if props == "all":
        return _ALL
    asked = [_ALIASES.get(name, name) for name in selection.names(props) if name != "name"]
    for name in asked:
        if name not in _COLUMNS:
            raise errors.InvalidArgument(f'invalid property "{name}": expected {", ".join(_COLUMNS)}, or all')
    return ("name", *asked)


def _pattern(regex: str) -> re.Pattern[str] | None:
    try:
        return re.compile(regex) if regex else None
    except re.error as error:
        raise errors.InvalidArgument(f'invalid regular expression "{regex}": {error}') from None


def _is_directory(entry: Entry) -> bool:
    return bool(entry.flags & shapes.IS_DIRECTORY)


def _entries(client: Client, wanted: Wanted) -> Iterator[list[Entry]]:
    """What is wanted, page by page."""
    left = wanted.limit or sys.maxsize
    page_size = wanted.page_size or (min(wanted.limit, 1000) if wanted.limit else 0)
    for page in calls.pages(
        client,
        wanted.bucket,
        prefix=wanted.prefix,
        start_after=wanted.start_after,
        props=",".join(wanted.columns),
        flags=wanted.flags,
        page_size=page_size,
    ):
        entries = [entry for entry in page.entries or [] if wanted.is_wanted(entry.name)][:left]
        left -= len(entries)
        yield entries
        if not left:
            return


def _print_objects(client: Client, wanted: Wanted, units: text.Units, *, no_headers: bool, no_footers: bool) -> None:
    started = time.monotonic()
    columns = [_COLUMNS[name] for name in wanted.columns]
    table = text.Table([heading for heading, _ in columns], has_header=not no_headers)
    count = 0
    for entries in _entries(client, wanted):
        if entries:
            _print_lines(table.lines([cell(entry, units) for _, cell in columns] for entry in entries))
        count += len(entries)
    if not count:
        print(f"No objects in {wanted.bucket.uri}" + (f' with prefix "{wanted.prefix}"' if wanted.prefix else ""))
    elif count > _SHORT and not no_footers and sys.stdout.isatty():
        print(f"Listed {count} names (elapsed {text.duration(time.monotonic() - started)})")


def _print_lines(lines: Sequence[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _print_json(client: Client, wanted: Wanted) -> None:
    """An array of objects, printed as it comes."""
    separator = "["
    for entries in _entries(client, wanted):
        for entry in entries:
            fields = {name: value for name in wanted.columns if (value := _field(entry, name)) not in {"", None}}
            sys.stdout.write(f"{separator}\n  {msgspec.json.encode(fields).decode()}")
            separator = ","
    print("[]" if separator == "[" else "\n]")


def _field(entry: Entry, name: str) -> object:
    if name == "size":
        return None if _is_directory(entry) else entry.size
    if name in {"cached", "status"}:
        return _COLUMNS[name][1](entry, "raw")
    value: object = getattr(entry, name)
    return value or None


def _print_buckets(found: Sequence[BucketName], uri: str, provider: str, *, no_headers: bool, as_json: bool) -> None:
    """The buckets, by provider.

    Where the guides' editions differ: ``ais ls ais:`` says nothing where there are none (seeds 000, 001), while ``ais
    ls ais://`` counts them (seeds 002, 003); a single provider's other than ours come without a heading (seed 000).
    """
    if as_json:
        print(text.document([calls.as_json(bucket) for bucket in found]))
        return
    has_heading = not no_headers and provider in {"", AIS}
    for of, group in groupby(found, key=lambda bucket: bucket.provider):
        uris = [_listed(bucket) for bucket in group]
        if has_heading:
            print(f"{_title(of)} Buckets ({len(uris)})")
        _print_lines([f"  {each}" if has_heading else each for each in uris])
    if not found and has_heading and uri.endswith("//"):
        print(f"{_title(provider)} Buckets (0)")
    elif not found and not uri and not no_headers:
        print("No buckets in the cluster.")


def _title(provider: str) -> str:
    return "HTTP(S)" if provider == "ht" else provider.upper()


def _listed(bucket: BucketName) -> str:
    """A bucket by its provider's name, as AIStore lists it: ``aws://name``."""
    return bucket.uri.replace(f"{SCHEMES[bucket.provider]}://", f"{bucket.provider}://", 1)
