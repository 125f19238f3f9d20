"""What a route is, and which one a request means.

A route says where a handler answers; what it takes and gives is in the handler's own signature, from which requests are
parsed and the description is made (``openapi.py``). So neither can tell another story than the code.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Awaitable, Callable, Iterable, Mapping
from urllib.parse import unquote_to_bytes

import msgspec

from tidegate import errors

# Takes a call and, by these names, ``query`` and ``body``; gives a struct to be shown as JSON, None for no content, or
# an answer of its own.
Handler = Callable[..., Awaitable[object]]

ROOT = "/v2"
_TAIL = "..."


class Header(msgspec.Struct, frozen=True):
    """A header that a route reads, for its description."""

    name: str
    description: str


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameter at all."""


class Route(msgspec.Struct, frozen=True):
    """A method and path with its handler. ``{name}`` stands for a segment of a path, ``{name...}`` for all the rest.

    ``status`` is that of a success. ``is_open`` for what needs no token. ``takes_content`` where the body is a file,
    and ``media`` is the type of an answer that is no struct. ``query``, ``body`` and ``answer`` are types of structs,
    the latter two None for nothing.
    """

    method: str
    path: str
    handler: Handler
    status: int
    query: type
    body: type | None
    answer: type | None
    headers: tuple[Header, ...] = ()
    is_open: bool = False
    takes_content: bool = False
    media: str = ""

    @property
    def name(self) -> str:
        """What it is called in the description, in metrics and in the access log."""
        return self.handler.__name__

    @property
    def takes_query(self) -> bool:
        """Whether the handler is given the query."""
        return self.query is not NoQuery

    @property
    def parameters(self) -> list[str]:
        """The names in the path."""
        return [segment[1:-1].removesuffix(_TAIL) for segment in self.path.split("/") if segment.startswith("{")]


def route(
    method: str,
    path: str,
    handler: Handler,
    *,
    status: int = 200,
    headers: tuple[Header, ...] = (),
    is_open: bool = False,
    takes_content: bool = False,
    media: str = "",
) -> Route:
    """A route whose types are those of the handler's signature."""
    hints = typing.get_type_hints(handler)
    answer = _struct_of(hints["return"])
    return Route(
        method,
        ROOT + path,
        handler,
        204 if answer is None and not media else status,
        hints.get("query", NoQuery),
        hints.get("body"),
        answer,
        headers,
        is_open,
        takes_content,
        media,
    )


def _struct_of(hint: object) -> type | None:
    """The struct among what a handler may return."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for option in options:
        kind = typing.get_origin(option) or option
        if inspect.isclass(kind) and issubclass(kind, msgspec.Struct):
            return typing.cast("type", option)
    return None


class _Node:
    """A place in the tree of paths."""

    __slots__ = ("child", "literals", "methods", "name", "tail")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.name = ""
        self.child: _Node | None = None
        self.tail: _Node | None = None
        self.methods: dict[str, Route] = {}

    def below(self, segment: str) -> _Node:
        """The place that a segment of a template leads to."""
        if not segment.startswith("{"):
            return self.literals.setdefault(segment, _Node())
        if segment.endswith(_TAIL + "}"):
            self.tail = self.tail or _Node()
            self.tail.name = segment[1:-1].removesuffix(_TAIL)
            return self.tail
        self.child = self.child or _Node()
        self.child.name = segment[1:-1]
        return self.child


class Router:
    """Finds routes. A literal segment goes before a name."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for each in routes:
            node = self._root
            for segment in each.path[1:].split("/"):
                node = node.below(segment)
            if node.methods.setdefault(each.method, each) is not each:
                raise ValueError(f"two routes for {each.method} {each.path}")

    def find(self, method: str, raw_path: bytes) -> tuple[Route, Mapping[str, str]]:
        """The route of a request, and the names in its path, decoded. HEAD is answered by what answers GET.

        Raises ``InvalidURI``, ``NoSuchPath``, ``MethodNotAllowed``.
        """
        node, names = self._root, {}
        segments = raw_path[1:].split(b"/")
        for position, raw in enumerate(segments):
            segment = _decoded(raw)
            below = node.literals.get(segment) or (node.child if segment else None)
            if below is None and node.tail is not None:
                node = node.tail
                names[node.name] = _decoded(b"/".join(segments[position:]))
                break
            if below is None:
                raise errors.NoSuchPath
            node = below
            if node.name:
                names[node.name] = segment
        if not node.methods:
            raise errors.NoSuchPath
        found = node.methods.get(method) or (node.methods.get("GET") if method == "HEAD" else None)
        if found is None:
            allowed = {*node.methods, *(["HEAD"] if "GET" in node.methods else [])}
            raise errors.MethodNotAllowed(Allow=", ".join(sorted(allowed)))
        return found, names


def _decoded(segment: bytes) -> str:
    """Text of a path, which is percent-encoded UTF-8. Raises ``InvalidURI``."""
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        raise errors.InvalidURI from None
