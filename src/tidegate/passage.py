"""Requests that somebody has signed for a remote, as far as they are passed on to it. Pure.

Nobody here can tell whether such a signature is good. What it covers must reach the remote as it was; that, and nothing
else of a request, is kept in a ``Passage``, for as long as the request lasts. It is never stored, logged or shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

Style: TypeAlias = Literal["path", "virtual"]

STYLES: Final[tuple[Style, ...]] = ("path", "virtual")


class Passage(msgspec.Struct, frozen=True):
    """A request for an object, by ``GET``, ``HEAD`` or ``PUT``.

    ``query`` is what came behind the ``?``, to the byte; ``headers``, by lower-case name, are those to be passed on.
    ``fixed`` are the names of headers of which the signature says whether they are there, and with which value: none of
    them may be added or changed. ``is_exact`` says that the request asks for something that cannot be asked otherwise,
    such as a range that is signed.

    ``host`` is the Host that the request came with, which is the remote's where a client has changed nothing but the
    address that it connects to. ``style`` says where the signed host has the bucket, if the client has said so.
    ``region`` is that of the signature, empty for version 2, which has none. ``must_ask`` says that nothing is to be
    served before the remote has accepted this very request.
    """

    method: str
    query: str
    headers: Mapping[str, str]
    fixed: frozenset[str]
    is_exact: bool = False
    host: str = ""
    style: Style | None = None
    region: str = ""
    must_ask: bool = True

    def __repr__(self) -> str:  # headers and query have signatures in them
        return f"Passage({self.method!r})"

    def may_add(self, name: str, value: str) -> bool:
        """Whether the request may be sent with this header."""
        return name not in self.fixed or self.headers.get(name) == value
