"""Logging in and out (``/v2/auth``). With authentication off all of it is refused, as there is nobody to tell apart."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from tidegate import errors
from tidegate.api import shapes
from tidegate.api.call import Call
from tidegate.api.routes import Route, route
from tidegate.documents import Revoked, Token, Who
from tidegate.gateway.accounts import MAX_LIFETIME, MAX_ROBOT_LIFETIME, bearer
from tidegate.model import EVERYONE

_SECONDS = "Seconds that the token is to live."


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user's name and password."""

    user: str
    password: str
    ttl: Annotated[int, Meta(ge=1, le=MAX_LIFETIME, description=_SECONDS)] | None = None


class Robot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A program that is to have a token. It is the user `robot:NAME`, whose roles say what the token gives."""

    name: str
    ttl: Annotated[int, Meta(ge=1, le=MAX_ROBOT_LIFETIME, description=_SECONDS)] | None = None


class Revocation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which token is to end: the one in use, unless it says otherwise."""

    token: Annotated[str | None, Meta(description="This one.")] = None
    robot: Annotated[str | None, Meta(description="All that this robot has.")] = None


def _token(call: Call) -> str:
    """The token in use. Raises ``AuthenticationIsOff``."""
    if call.principal == EVERYONE:
        raise errors.AuthenticationIsOff
    return bearer(call.request.headers.getlist("authorization"))


async def login(call: Call, body: Login) -> Token:
    """A token for who knows a user's password."""
    accounts = call.gateway.accounts
    token = await accounts.login(call.principal, body.user, body.password, body.ttl)
    return Token(token, _moment(await accounts.expires(token)), body.user)


async def get_robot_token(call: Call, body: Robot) -> Token:
    """A token for a program, which an administrator may ask for. It becomes a user if it is none yet."""
    found = await call.gateway.accounts.robot_token(call.principal, body.name, body.ttl)
    return Token(found.token, _moment(found.expires), found.user)


async def whoami(call: Call) -> Who:
    """Who the token in use speaks for."""
    token = _token(call)
    account = await call.gateway.accounts.user(call.principal, call.principal.name)
    expires = await call.gateway.accounts.expires(token)
    return Who(account.name, call.principal.is_admin, [role.name for role in account.roles], _moment(expires))


async def revoke_token(call: Call, body: Revocation) -> Revoked:
    """End a token: one's own, or as an administrator anybody's, or all of a robot."""
    used = _token(call)
    if body.robot is not None and body.token is not None:
        raise errors.InvalidArgument("either a token is ended, or all of a robot")
    if body.robot is not None:
        return Revoked(await call.gateway.accounts.revoke_robot(call.principal, body.robot))
    await call.gateway.accounts.revoke(call.principal, used if body.token is None else body.token)
    return Revoked(1)


def _moment(time: int | None) -> datetime | None:
    return None if time is None else shapes.moment(time)


ROUTES: tuple[Route, ...] = (
    route("POST", "/auth/login", login, is_open=True),
    route("POST", "/auth/robot-token", get_robot_token),
    route("GET", "/auth/whoami", whoami),
    route("POST", "/auth/revoke", revoke_token),
)
