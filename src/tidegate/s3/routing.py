"""Which S3 operation a request means, decided from its method, level, query names and headers alone. No I/O.

The operation whose required query names are all there wins, the one with the most of them first; then every other name
in the query must be one that it takes. So a sub-resource that nobody knows never falls through to the operation on the
bucket or object itself: ``DELETE /bucket?foo`` deletes nothing. Headers that override the method mean nothing here.
"""

from __future__ import annotations

import re
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec

from tidegate import errors
from tidegate.s3 import _operations
from tidegate.s3.target import CONTROL, SIGNING, Level

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

ROUTES_REMEMBERED: Final = 256  # clients use a few dozen combinations of names; bounded, as they choose them

# Headers that boto3 moves into the query when it presigns with SigV2.
_MOVED: Final = frozenset({"content-md5", "content-type"})
# Names that select nothing: what SDKs add for their own logs, and the signature of a presigned URL (SigV4, SigV2).
_IGNORED: Final = frozenset({"x-id", "AWSAccessKeyId", "Expires", "Signature", *_MOVED})
_SIGNING: Final = frozenset(name.decode() for name in SIGNING)
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a header's name (RFC 9110 section 5.6.2)
_AMZ_PREFIX: Final = "x-amz-"  # in any case: SigV4's, and headers that a presigner has moved into the query
_OVERRIDE_PREFIX: Final = "response-"
_OVERRIDABLE: Final = frozenset({"GetObject", "HeadObject"})
_SHOWN_LENGTH: Final = 64  # enough of an unknown name to recognise it


class Operation(msgspec.Struct, frozen=True, eq=False):
    """An operation of S3, by Amazon's name. There is one instance of each: compare them with ``is`` or by name.

    ``query`` are the names that must be in the query, ``values`` those of them that allow one value only, ``optional``
    the other names that it takes. ``chosen_by`` are headers without which another operation is meant. ``headers`` are
    the lower-case names of the headers that Amazon's model gives it; ``header_prefixes`` stand for families such as
    ``x-amz-meta-``. Not in the model, and so not in ``headers``: the ``x-amz-checksum-*`` that SDKs send with any
    document, and what belongs to signing and framing. ``status`` is that of a success.
    """

    name: str
    method: str
    level: Level
    status: int = 200
    query: tuple[str, ...] = ()
    values: tuple[tuple[str, str], ...] = ()
    optional: frozenset[str] = frozenset()
    chosen_by: tuple[str, ...] = ()
    headers: frozenset[str] = frozenset()
    header_prefixes: tuple[str, ...] = ()


class _Place(msgspec.Struct, frozen=True, eq=False):
    """The operations of one method at one level, those with the most requirements first."""

    operations: tuple[Operation, ...]
    plain: Operation | None  # the one that is meant where there is no query
    choosers: tuple[str, ...]  # headers that choose between them
    known: frozenset[str]  # every query name that one of them takes


def _operation(row: _operations.Row) -> Operation:
    pairs = [name.partition("=") for name in row.query.split()]
    headers = row.headers.split()
    return Operation(
        name=row.name,
        method=row.method,
        level=row.level,
        status=row.status,
        query=tuple(name for name, _, _ in pairs),
        values=tuple((name, value) for name, equals, value in pairs if equals),
        optional=frozenset(row.optional.split()),
        chosen_by=tuple(row.chosen_by.split()),
        headers=frozenset(header for header in headers if not header.endswith("*")),
        header_prefixes=tuple(header[:-1] for header in headers if header.endswith("*")),
    )


def _weight(operation: Operation) -> int:
    """Return how much a request must have to mean the operation."""
    return len(operation.query) + len(operation.chosen_by)


def _place(operations: Iterable[Operation]) -> _Place:
    ordered = sorted(operations, key=_weight, reverse=True)
    return _Place(
        operations=tuple(ordered),
        plain=next((item for item in ordered if not item.query and not item.chosen_by), None),
        choosers=tuple({header: None for item in ordered for header in item.chosen_by}),
        known=frozenset(name for item in ordered for name in (*item.query, *item.optional)),
    )


# The form upload of browsers is documented beside the operations but is none of the model's.
POST_OBJECT: Final = Operation(name="PostObject", method="POST", level="bucket", status=204)

#: Every operation that a request can be routed to, by name.
OPERATIONS: Final[Mapping[str, Operation]] = MappingProxyType(
    {row.name: _operation(row) for row in _operations.OPERATIONS} | {POST_OBJECT.name: POST_OBJECT}
)

#: Every header of the model. One that an operation takes and the server does not implement must not be ignored.
MODEL_HEADERS: Final = frozenset(header for item in OPERATIONS.values() for header in item.headers)

_HEADER_PREFIXES: Final = tuple({prefix for item in OPERATIONS.values() for prefix in item.header_prefixes})
_BODY_CHECKSUMS: Final = frozenset(
    {header for header in MODEL_HEADERS if header.startswith("x-amz-checksum-")}
    - {"x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type"}
    | {"x-amz-sdk-checksum-algorithm"}
)

_PLACES: Final = {
    (method, level): _place(item for item in OPERATIONS.values() if (item.method, item.level) == (method, level))
    for method, level in {(item.method, item.level) for item in OPERATIONS.values()}
}


def route(method: str, level: Level, query: Sequence[tuple[str, str]], headers: Container[str]) -> Operation:
    """Return the operation that a request means.

    ``query`` are the decoded names and values; ``headers`` tells of a lower-case name whether the request has it.
    Raises NotImplementedByServer for a query name that no operation of the method takes; InvalidArgument for one that
    only others take, for a name given twice and for a wrong fixed value (``list-type=1``); MethodNotAllowed where the
    method has no operation; AccessForbidden for OPTIONS, which asks for a CORS configuration that no bucket has.
    """
    place = _PLACES.get((method, level))
    if place is None:
        if method == "OPTIONS":
            raise errors.AccessForbidden
        raise errors.MethodNotAllowed(Method=method, ResourceType=level.upper())
    chosen_by = tuple([header for header in place.choosers if header in headers]) if place.choosers else ()
    if not query and not chosen_by and place.plain is not None:
        return place.plain
    operation = _decide(place, tuple([name for name, _ in query]), chosen_by)
    for field in operation.values:
        if field not in query:
            name, value = field
            raise errors.InvalidArgument(f"The query parameter {name} must be {value}.", ArgumentName=name)
    return operation


@lru_cache(maxsize=ROUTES_REMEMBERED)
def _decide(place: _Place, names: tuple[str, ...], chosen_by: tuple[str, ...]) -> Operation:
    """Return the operation for these query names and choosing headers."""
    folded = [name.lower() if name.lower().startswith(_AMZ_PREFIX) else name for name in names]
    if len(set(folded)) < len(folded):
        twice = next(name for name in folded if folded.count(name) > 1)
        raise errors.InvalidArgument(f"The query parameter {_shown(twice)} is given more than once.")
    # A presigner may have moved the choosing header into the query; a copy is still no upload of an empty body.
    present = {*folded, *chosen_by}
    selecting = {name for name in folded if name not in _IGNORED and not name.startswith(_AMZ_PREFIX)}
    able = [op for op in place.operations if selecting.issuperset(op.query) and present.issuperset(op.chosen_by)]
    for operation in able:
        if _weight(operation) < _weight(able[0]):
            break  # a less specific operation is never a way out
        if not _left_over(operation, selecting):
            return operation
    raise _refusal(place, able, selecting)


def hoisted_headers(query: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the headers that a presigner has moved into the query, by lower-case name.

    S3 takes them for the headers they stand for, except for the checksum of a body: SDKs sign that of an empty one,
    long before somebody else uploads something. Values are as those of headers: bytes, read as ISO 8859-1. Raises
    InvalidArgument for what no header could be: a name or value that would be more than one line of an answer.
    """
    found = {}
    for raw_name, value in query:
        if raw_name not in _SIGNING and raw_name[: len(_AMZ_PREFIX)].lower() == _AMZ_PREFIX:
            name = raw_name.lower()
            if (name in MODEL_HEADERS or name.startswith(_HEADER_PREFIXES)) and name not in _BODY_CHECKSUMS:
                if _TOKEN.fullmatch(name) is None or CONTROL.search(value):
                    raise errors.InvalidArgument("A header that is given in the query is malformed.")
                found[name] = value.encode().decode("latin-1")
        elif raw_name in _MOVED:
            found[raw_name] = value
    return found


def _left_over(operation: Operation, selecting: set[str]) -> set[str]:
    """Return the names that mean nothing to ``operation``."""
    rest = selecting.difference(operation.query, operation.optional)
    if operation.name in _OVERRIDABLE:
        return {name for name in rest if not name.startswith(_OVERRIDE_PREFIX)}
    return rest


def _refusal(place: _Place, able: list[Operation], selecting: set[str]) -> errors.Error:
    """Return what to answer where no operation takes all of the ``selecting`` names."""
    unknown = sorted(selecting - place.known)
    if unknown:
        return errors.NotImplementedByServer(
            f"The sub-resource or query parameter {_shown(unknown[0])} requested a function that is not implemented."
        )
    if not selecting:
        method, level = place.operations[0].method, place.operations[0].level
        return errors.MethodNotAllowed(Method=method, ResourceType=level.upper())
    meant = able[0] if able else None
    stray = min(_left_over(meant, selecting) if meant else selecting)
    rival = next((item for item in place.operations if stray in item.query), None)
    if rival is None:
        return errors.InvalidArgument(f"This operation does not take the query parameter {stray}.", ArgumentName=stray)
    missing = [name for name in rival.query if name not in selecting]
    if missing and not (meant and meant.query):
        needed = ", ".join(missing)
        return errors.InvalidArgument(f"The query parameter {stray} needs {needed} beside it.", ArgumentName=stray)
    rivals = ", ".join(sorted(name for name in selecting if any(name in item.query for item in place.operations)))
    return errors.InvalidArgument(f"Conflicting query string parameters: {rivals}", ArgumentName="ResourceType")


def _shown(name: str) -> str:
    """Return a name that a client made up so that it can stand in any message."""
    return ascii(name[:_SHOWN_LENGTH])
