"""AuthN: AIStore's server for users, roles and tokens, on the main port.

Source: AIStore, ``api/authn`` and its Python SDK; paths are those of its own server.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.responses import Response

from tidegate import errors
from tidegate.ais.call import Call, decode
from tidegate.gateway.accounts import ALGORITHM, MAX_LIFETIME, Account, BucketRule, ClusterRule, Registration, Role

if TYPE_CHECKING:
    from tidegate.ais.app import Handler

# A message has a password, or a user's roles: each of those as long as it can be. Anybody may send one.
MAX_LOGIN: Final = 16 * 1024
MAX_MESSAGE: Final = 1024 * 1024

NANOSECONDS: Final = 1_000_000_000
_DURATION = re.compile(r"(?=.)(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?")


# --- messages --------------------------------------------------------------------------------------------------------


class _Login(msgspec.Struct):
    password: str
    expires_in: int | None = None
    cluster_id: str = ""


class _Token(msgspec.Struct):
    token: str


class _Named(msgspec.Struct):
    """A role in a user's message: clients send it whole, its name is what counts."""

    name: str


class _User(msgspec.Struct):
    id: str = ""
    password: str | None = None
    passphrase: str | None = msgspec.field(default=None, name="pass")
    roles: list[_Named | str] | None = None

    @property
    def secret(self) -> str | None:
        """The password. Clients that send none send an empty one, too."""
        return self.passphrase or self.password or None

    @property
    def role_names(self) -> list[str]:
        return [role if isinstance(role, str) else role.name for role in self.roles or ()]


class _Role(msgspec.Struct):
    name: str = ""
    desc: str = ""
    clusters: tuple[ClusterRule, ...] | None = None
    buckets: tuple[BucketRule, ...] | None = None
    admin: bool = False

    def named(self, name: str) -> Role:
        return Role(name, self.desc, self.clusters or (), self.buckets or (), self.admin)


class _Cluster(msgspec.Struct):
    id: str = ""
    alias: str | None = None
    urls: tuple[str, ...] | None = None

    @property
    def registration(self) -> Registration:
        return Registration(self.id, self.alias or "", self.urls or ())


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _shown(account: Account) -> dict[str, object]:
    return {"id": account.name, "roles": account.roles}


def _clusters(found: list[Registration]) -> Response:
    return _json({"clusters": {cluster.id: cluster for cluster in found}})


def _name(call: Call) -> str:
    """What the path names."""
    return str(call.request.path_params["name"])


# --- tokens ----------------------------------------------------------------------------------------------------------


async def login(call: Call) -> Response:
    """A token for who knows the password. Needs none."""
    message = decode(await call.body(MAX_LOGIN), _Login)
    lifetime = message.expires_in
    if lifetime is not None and lifetime > 0:
        lifetime = max(1, lifetime // NANOSECONDS)
    return _json(
        {
            "token": await call.gateway.accounts.login(
                call.principal, _name(call), message.password, lifetime, message.cluster_id
            )
        }
    )


async def revoke_token(call: Call) -> Response:
    """Ends the token in the message."""
    message = decode(await call.body(MAX_LOGIN), _Token)
    try:
        await call.gateway.accounts.revoke(call.principal, message.token)
    except errors.InvalidToken:
        raise errors.InvalidArgument("invalid token") from None
    return Response()


# --- users -----------------------------------------------------------------------------------------------------------


async def list_users(call: Call) -> Response:
    """All users, by name."""
    found = await call.gateway.accounts.users(call.principal)
    return _json({account.name: _shown(account) for account in found})


async def show_user(call: Call) -> Response:
    """One user."""
    return _json(_shown(await call.gateway.accounts.user(call.principal, _name(call))))


async def add_user(call: Call) -> Response:
    """Adds a user with a password and roles."""
    message = decode(await call.body(MAX_MESSAGE), _User)
    if message.secret is None:
        raise errors.InvalidArgument("a user needs a password")
    await call.gateway.accounts.add_user(call.principal, message.id, message.secret, message.role_names)
    return Response()


async def change_user(call: Call) -> Response:
    """Changes what is given: clients that only change a password send no roles."""
    message = decode(await call.body(MAX_MESSAGE), _User)
    await call.gateway.accounts.change_user(call.principal, _name(call), message.secret, message.role_names or None)
    return Response()


async def remove_user(call: Call) -> Response:
    """Removes a user."""
    await call.gateway.accounts.remove_user(call.principal, _name(call))
    return Response()


# --- roles -----------------------------------------------------------------------------------------------------------


async def list_roles(call: Call) -> Response:
    """All roles, or those about a cluster."""
    cluster = call.request.query_params.get("cluster_id", "")
    return _json(await call.gateway.accounts.roles(call.principal, cluster))


async def show_role(call: Call) -> Response:
    """One role."""
    return _json(await call.gateway.accounts.role(call.principal, _name(call)))


async def add_role(call: Call) -> Response:
    """Adds a role."""
    message = decode(await call.body(MAX_MESSAGE), _Role)
    await call.gateway.accounts.add_role(call.principal, message.named(message.name))
    return Response()


async def change_role(call: Call) -> Response:
    """Changes what is given."""
    message = decode(await call.body(MAX_MESSAGE), _Role)
    await call.gateway.accounts.change_role(call.principal, message.named(_name(call)))
    return Response()


async def remove_role(call: Call) -> Response:
    """Removes a role."""
    await call.gateway.accounts.remove_role(call.principal, _name(call))
    return Response()


# --- clusters --------------------------------------------------------------------------------------------------------


async def list_clusters(call: Call) -> Response:
    """The registered cluster."""
    return _clusters(await call.gateway.accounts.clusters(call.principal))


async def show_cluster(call: Call) -> Response:
    """The registered cluster, by id or alias."""
    return _clusters([await call.gateway.accounts.cluster(call.principal, _name(call))])


async def register_cluster(call: Call) -> Response:
    """Registers this cluster."""
    message = decode(await call.body(MAX_MESSAGE), _Cluster)
    await call.gateway.accounts.register(call.principal, message.registration)
    return Response()


async def change_cluster(call: Call) -> Response:
    """Changes what is given of the registration."""
    message = decode(await call.body(MAX_MESSAGE), _Cluster)
    await call.gateway.accounts.change_cluster(call.principal, _name(call), message.registration)
    return Response()


async def unregister_cluster(call: Call) -> Response:
    """Forgets the registration."""
    await call.gateway.accounts.unregister(call.principal, _name(call))
    return Response()


# --- configuration: ``/v1/daemon`` without ``what``; with it, the path is the cluster's ------------------------------


async def show_configuration(call: Call) -> Response:
    """What can be configured of AuthN, and what is fixed."""
    lifetime = await call.gateway.accounts.lifetime(call.principal)
    return _json(
        {
            "auth": {
                "expiration_time": _duration(lifetime),
                "max_expiration_time": _duration(MAX_LIFETIME),
                "signature": ALGORITHM,
            }
        }
    )


async def configure(call: Call) -> Response:
    """Sets how long tokens live; nothing else can be set."""
    message = decode(await call.body(MAX_MESSAGE), dict[str, object])
    auth = message.get("auth")
    if set(message) != {"auth"} or not isinstance(auth, dict) or set(auth) != {"expiration_time"}:
        raise errors.InvalidArgument("only auth.expiration_time can be set")
    await call.gateway.accounts.set_lifetime(call.principal, _seconds(str(auth["expiration_time"])))
    return Response()


def _duration(seconds: int) -> str:
    """As AIStore writes one: ``24h``, ``1h30m``."""
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    return "".join(f"{number}{unit}" for number, unit in ((hours, "h"), (minutes, "m"), (rest, "s")) if number)


def _seconds(text: str) -> int:
    matched = _DURATION.fullmatch(text)
    if matched is None:
        raise errors.InvalidArgument(f'"{text[:32]}" is not a time such as 24h, 90m or 1h30m')
    hours, minutes, seconds = (int(number or 0) for number in matched.groups())
    return hours * 3600 + minutes * 60 + seconds


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/v1/users/{name}", login),
    ("DELETE", "/v1/tokens", revoke_token),
    ("PUT", "/v1/daemon", configure),
    ("GET", "/v1/users", list_users),
    ("POST", "/v1/users", add_user),
    ("GET", "/v1/users/{name}", show_user),
    ("PUT", "/v1/users/{name}", change_user),
    ("DELETE", "/v1/users/{name}", remove_user),
    ("GET", "/v1/roles", list_roles),
    ("POST", "/v1/roles", add_role),
    ("GET", "/v1/roles/{name}", show_role),
    ("PUT", "/v1/roles/{name}", change_role),
    ("DELETE", "/v1/roles/{name}", remove_role),
    ("GET", "/v1/clusters", list_clusters),
    ("POST", "/v1/clusters", register_cluster),
    ("GET", "/v1/clusters/{name}", show_cluster),
    ("PUT", "/v1/clusters/{name}", change_cluster),
    ("DELETE", "/v1/clusters/{name}", unregister_cluster),
)
