"""Users, roles, tokens, and the cluster that roles are about: who may see and change them.

An administrator may do everything here; anybody may log in, see and end what is their own, and change their password.
With authentication off there is nobody to tell apart, and whoever asks could make themselves a way in for later: then
all of this is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from tidegate import errors
from tidegate.catalog import authn
from tidegate.catalog import roles as role_rows
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.authn import Registration
from tidegate.catalog.roles import Bucket, BucketRule, ClusterRule, Namespace, Role
from tidegate.clock import SECOND
from tidegate.gateway.rooms import Rooms
from tidegate.gateway.system import System
from tidegate.identity import roles
from tidegate.identity.keys import ADMINISTRATOR
from tidegate.identity.logins import is_token
from tidegate.identity.robots import MAX_LIFETIME as MAX_ROBOT_LIFETIME
from tidegate.identity.robots import RobotToken
from tidegate.identity.tokens import ALGORITHM, MAX_LIFETIME
from tidegate.model import EVERYONE, Principal

__all__ = [
    "ALGORITHM",
    "MAX_LIFETIME",
    "MAX_ROBOT_LIFETIME",
    "Account",
    "Accounts",
    "Bucket",
    "BucketRule",
    "ClusterRule",
    "Namespace",
    "Registration",
    "RobotToken",
    "Role",
    "is_token",
]

MAX_URLS = 16
MAX_URL = 2048

# What Authorization has to say. The scheme's name has no case (RFC 9110 section 11.1); a token is RFC 6750's.
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*) *", re.IGNORECASE)


class Account(msgspec.Struct, frozen=True):
    """A user with the roles in force."""

    name: str
    roles: list[Role]


class Accounts:
    """The accounts. Each raises ``AuthenticationIsOff``, and ``AccessDenied`` unless it says otherwise."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._identity = rooms.identity
        self._system = System(rooms)

    # --- logging in and out ---

    async def recognise(self, token: str) -> Principal:
        """Who a token speaks for. Raises ``InvalidToken``, ``RevokedToken``, ``ExpiredToken``."""
        return await self._identity.logins.recognise(token)

    async def authenticate(self, authorization: Sequence[str]) -> Principal:
        """Who a request speaks for, by its Authorization headers (RFC 6750).

        Raises ``Unauthorized``, with the words that AIStore's clients know.
        """
        token = bearer(authorization)
        try:
            return await self.recognise(token)
        except errors.ExpiredToken:
            raise errors.Unauthorized("token expired") from None
        except errors.RevokedToken:
            raise errors.Unauthorized("token revoked") from None
        except errors.InvalidToken:
            raise errors.Unauthorized("invalid token") from None

    async def expires(self, token: str) -> int | None:
        """When a token ends by itself, in microseconds since the epoch; None for never. Raises as ``recognise``."""
        expires = await self._identity.logins.expires(token)
        return None if expires is None else expires * SECOND

    async def login(
        self, principal: Principal, name: str, password: str, lifetime: int | None, cluster: str = ""
    ) -> str:
        """A token for who knows a user's password; anybody may try.

        ``lifetime`` is in seconds: None for the default, 0 for the longest. ``cluster`` is ours, by id or alias, if it
        is given. Raises ``Unauthorized``, ``TooManyLogins``, ``SlowDown``, ``InvalidArgument``, ``NoSuchCluster``.
        """
        _check_on(principal)
        await self._system.identify()  # tokens name the cluster, which is named by whoever first asks
        if cluster:
            await self._known(cluster)
        return await self._identity.logins.login(name, password, lifetime)

    async def revoke(self, principal: Principal, token: str) -> None:
        """Ends a token: one's own, or as an administrator anybody's. Raises ``InvalidToken``."""
        _check_on(principal)
        await self._identity.logins.revoke(token, principal)

    async def robot_token(self, principal: Principal, name: str, lifetime: int | None = None) -> RobotToken:
        """A token for a program, which becomes the user ``robot:NAME`` if it is none yet. ``lifetime`` is in seconds;
        None for until it is revoked. Raises ``InvalidArgument``.
        """
        _check_admin(principal)
        return await self._identity.logins.robots.issue(name, lifetime)

    async def revoke_robot(self, principal: Principal, name: str) -> int:
        """Ends all tokens of a robot; how many that were. Raises ``NoSuchUser``, ``InvalidArgument``."""
        _check_admin(principal)
        return await self._identity.logins.robots.revoke_all(name)

    async def lifetime(self, principal: Principal) -> int:
        """How many seconds a token lives whose user did not say."""
        _check_admin(principal)
        return await self._identity.logins.lifetime()

    async def set_lifetime(self, principal: Principal, seconds: int) -> None:
        """Raises ``InvalidArgument``."""
        _check_admin(principal)
        await self._identity.logins.set_lifetime(seconds)

    # --- users ---

    async def users(self, principal: Principal) -> list[Account]:
        _check_admin(principal)
        return [Account(user.name, found) for user, found in await self._identity.users_with_roles()]

    async def user(self, principal: Principal, name: str) -> Account:
        """One user; anybody may see themselves. Raises ``NoSuchUser``."""
        if principal.name != name:
            _check_admin(principal)
        ((user, found),) = await self._identity.users_with_roles(name)
        if user.id != principal.id:  # who asks may have been removed, and another made under the name, just now
            _check_admin(principal)
        return Account(user.name, found)

    async def add_user(self, principal: Principal, name: str, password: str, role_names: Sequence[str]) -> None:
        """Adds a user who may do what the roles say.

        Raises ``UserAlreadyExists``, ``NoSuchRole``, ``InvalidArgument``.
        """
        _check_admin(principal)
        await self._identity.add_user(name, password=password, role_names=role_names)

    async def change_user(
        self, principal: Principal, name: str, password: str | None, role_names: Sequence[str] | None
    ) -> None:
        """Changes what is given. Anybody may change their own password; the built-in administrator's roles stay.

        Raises ``NoSuchUser``, ``NoSuchRole``, ``InvalidArgument``.
        """
        account = await self.user(principal, name)
        if role_names is not None:
            _check_admin(principal)
            if name == ADMINISTRATOR:
                raise errors.InvalidArgument(f'the roles of the built-in user "{name}" cannot be changed')
        await self._identity.change_user(account.name, password=password, role_names=role_names)

    async def remove_user(self, principal: Principal, name: str) -> None:
        """Removes a user, with keys and tokens. Raises ``NoSuchUser``, ``InvalidArgument`` for the built-in one."""
        _check_admin(principal)
        if name == ADMINISTRATOR:
            raise errors.InvalidArgument(f'the built-in user "{name}" cannot be removed')
        await self._identity.remove_user(name)

    # --- roles ---

    async def roles(self, principal: Principal, cluster: str = "") -> list[Role]:
        """All roles, or those with rules about a cluster, by id or alias. Raises ``NoSuchCluster``."""
        _check_admin(principal)
        found = [roles.ADMIN, *await self._rooms.catalog.read(role_rows.every)]
        if not cluster:
            return found
        here = {"", (await self._known(cluster)).id}
        return [
            role
            for role in found
            if here & {rule.id for rule in role.clusters}
            or here & {(rule.bck.namespace or Namespace()).uuid for rule in role.buckets}
        ]

    async def role(self, principal: Principal, name: str) -> Role:
        """Raises ``NoSuchRole``."""
        _check_admin(principal)
        return await self._rooms.catalog.read(lambda tx: roles.find(tx, name))

    async def add_role(self, principal: Principal, role: Role) -> None:
        """Raises ``RoleAlreadyExists``, ``NoSuchCluster``, ``InvalidArgument``."""
        _check_admin(principal)
        if role.name == roles.ADMIN.name:
            raise errors.RoleAlreadyExists(f'role "{role.name}" already exists')
        here = (await self._system.identify()).uuid

        def add(tx: Transaction) -> None:
            role_rows.add(tx, roles.checked(role, _names(tx, here)))

        await self._rooms.catalog.write(add)

    async def change_role(self, principal: Principal, change: Role) -> None:
        """Changes a role as AIStore does: rules that are given take the place of those about the same cluster or
        bucket, and one that gives nothing ("0") removes it.

        Raises ``NoSuchRole``, ``NoSuchCluster``, ``InvalidArgument``.
        """
        _check_changeable(principal, change.name)
        here = (await self._system.identify()).uuid

        def put(tx: Transaction) -> None:
            names = _names(tx, here)
            wanted = roles.changed(role_rows.get(tx, change.name), roles.checked(change, names))
            role_rows.put(tx, roles.checked(wanted, names))

        await self._rooms.catalog.write(put)

    async def remove_role(self, principal: Principal, name: str) -> None:
        """Removes a role, also from its users. Raises ``NoSuchRole``."""
        _check_changeable(principal, name)
        await self._rooms.catalog.write(lambda tx: role_rows.remove(tx, name))

    # --- the cluster ---

    async def clusters(self, principal: Principal) -> list[Registration]:
        """The one cluster, if it is registered."""
        _check_admin(principal)
        found = await self._rooms.catalog.read(authn.registration)
        return [] if found is None else [found]

    async def cluster(self, principal: Principal, name: str) -> Registration:
        """The cluster of that id or alias. Raises ``NoSuchCluster``."""
        _check_admin(principal)
        found = await self._known(name)
        if await self._rooms.catalog.read(authn.registration) is None:
            raise _no_such_cluster(name)
        return found

    async def register(self, principal: Principal, wanted: Registration) -> None:
        """Registers this cluster, which makes roles for it; roles that are there already stay as they are.

        Raises ``ClusterAlreadyRegistered``, ``InvalidArgument``, ``NotImplementedByServer`` for another cluster.
        """
        _check_admin(principal)
        wanted = _checked(wanted)
        here = (await self._system.identify()).uuid
        if wanted.id not in {"", here}:
            raise errors.NotImplementedByServer(
                f'cluster "{wanted.id}" is another one: a server keeps the users of its own cluster, "{here}", only'
            )
        registered = msgspec.structs.replace(wanted, id=here)

        def register(tx: Transaction) -> None:
            authn.register(tx, registered)
            for role in roles.predefined(here, registered.alias):
                if role_rows.find(tx, role.name) is None:
                    role_rows.put(tx, role)

        await self._rooms.catalog.write(register)

    async def change_cluster(self, principal: Principal, name: str, change: Registration) -> None:
        """Changes what is given of alias and URLs. Roles keep their names. Raises ``NoSuchCluster``."""
        _check_admin(principal)
        known = await self.cluster(principal, name)
        wanted = _checked(Registration(known.id, change.alias or known.alias, change.urls or known.urls))
        await self._rooms.catalog.write(lambda tx: authn.change_registration(tx, wanted))

    async def unregister(self, principal: Principal, name: str) -> None:
        """Forgets the registration. Roles stay. Raises ``NoSuchCluster``."""
        known = await self.cluster(principal, name)
        await self._rooms.catalog.write(lambda tx: authn.unregister(tx, known.id))

    async def _known(self, name: str) -> Registration:
        """The cluster, registered or not. Raises ``NoSuchCluster``."""
        here = (await self._system.identify()).uuid
        found = await self._rooms.catalog.read(authn.registration) or Registration(here)
        if not name or name not in {found.id, found.alias}:
            raise _no_such_cluster(name)
        return found


def bearer(authorization: Sequence[str]) -> str:
    """The token in a request's Authorization headers. Raises ``Unauthorized``."""
    if not authorization:
        raise errors.Unauthorized("token required")
    matched = _BEARER.fullmatch(authorization[0])
    if len(authorization) > 1 or matched is None:
        raise errors.Unauthorized("invalid token")
    return matched[1]


def _names(tx: Reader, here: str) -> list[str]:
    """The names of this cluster: its id, and its alias if it has one."""
    found = authn.registration(tx)
    return [here, found.alias] if found is not None and found.alias else [here]


def _checked(wanted: Registration) -> Registration:
    if len(wanted.alias) > roles.MAX_ALIAS or not (wanted.alias or "x").isprintable() or "/" in wanted.alias:
        raise errors.InvalidArgument(f"an alias has at most {roles.MAX_ALIAS} printable characters and no slash")
    if len(wanted.urls) > MAX_URLS or any(len(url) > MAX_URL for url in wanted.urls):
        raise errors.InvalidArgument(f"a cluster has at most {MAX_URLS} URLs of at most {MAX_URL} characters")
    return wanted


def _no_such_cluster(name: str) -> errors.NoSuchCluster:
    return errors.NoSuchCluster(f'cluster "{name}" does not exist')


def _check_on(principal: Principal) -> None:
    if principal == EVERYONE:
        raise errors.AuthenticationIsOff


def _check_admin(principal: Principal) -> None:
    _check_on(principal)
    if not principal.is_admin:
        raise errors.AccessDenied


def _check_changeable(principal: Principal, role: str) -> None:
    _check_admin(principal)
    if role == roles.ADMIN.name:
        raise errors.InvalidArgument(f'the built-in role "{role}" can be neither changed nor removed')
