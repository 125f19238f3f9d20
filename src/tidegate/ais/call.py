"""One request on its way through the door: who asks, and what was parsed of it."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from starlette.requests import Request

from tidegate import errors
from tidegate.gateway import Gateway
from tidegate.model import Principal
from tidegate.names import AIS, BucketName, parse_namespace, provider_of

T = TypeVar("T")

# What AIStore takes for true.
_YES = frozenset({"1", "t", "true", "y", "yes", "on"})

# An action message holds names and properties; the longest list of names that the SDK sends fits many times.
MAX_MESSAGE = 64 * 1024 * 1024


# Properties as clients send them: flat names, a partial tree, or both. No tree of properties is deeper.
_Leaf = str | int | float | bool | list[str] | None
Properties = dict[str, _Leaf | dict[str, _Leaf | dict[str, _Leaf | dict[str, _Leaf]]]]


class Action(msgspec.Struct, frozen=True):
    """AIStore's action message. ``value`` is decoded by whoever knows the action."""

    action: str = ""
    name: str = ""
    value: msgspec.Raw = msgspec.Raw(b"null")


class Call(msgspec.Struct, frozen=True):
    """A request that was authenticated."""

    gateway: Gateway
    request: Request
    principal: Principal

    @property
    def bucket(self) -> BucketName:
        """The bucket in the path, with the provider and the namespace of the query. Raises ``InvalidArgument``."""
        query = self.request.query_params
        return BucketName(
            self.request.path_params["bucket"],
            provider_of(query.get("provider") or AIS),
            parse_namespace(query.get("namespace", "")),
        )

    @property
    def key(self) -> str:
        """The object's name in the path."""
        return str(self.request.path_params["key"])

    def has_set(self, name: str) -> bool:
        """Whether a parameter of the query says yes."""
        return self.request.query_params.get(name, "").lower() in _YES

    async def body(self, limit: int = MAX_MESSAGE) -> bytes:
        """The whole body of a message. Raises ``EntityTooLarge``."""
        pieces = []
        size = 0
        async for piece in self.request.stream():
            size += len(piece)
            if size > limit:
                raise errors.EntityTooLarge(ProposedSize=str(size), MaxSizeAllowed=str(limit))
            pieces.append(piece)
        return b"".join(pieces)

    async def action(self) -> Action:
        """The action message in the body; an empty one where there is no body. Raises ``InvalidArgument``."""
        body = await self.body()
        return decode(body, Action) if body.strip() else Action()


def decode(data: bytes | msgspec.Raw, kind: type[T]) -> T:
    """JSON as a value of a type. Raises ``InvalidArgument``."""
    try:
        return msgspec.json.decode(data, type=kind, strict=False)
    except (ValueError, RecursionError) as error:  # also bytes that are no UTF-8
        raise errors.InvalidArgument(f"the message is not what it should be: {error}") from None


def decode_optional(data: msgspec.Raw, kind: type[T]) -> T | None:
    """As ``decode``; None for JSON's null, which stands for a value that is not there."""
    return None if bytes(data) == b"null" else decode(data, kind)
