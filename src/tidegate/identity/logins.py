"""Logins: a password for a token, a token for who it speaks for, and the end of a token.

A token carries what its user's roles gave when it was issued, and never gives more than that. It gives less as soon as
they do: what a role no longer gives is gone at the next request, as is everything of a user who was removed, whose
password is another now, or who is no longer an administrator. A robot's token (``robots``) gives what they have now.
"""

from __future__ import annotations

import secrets
import time
from hashlib import sha256

import msgspec

from tidegate import errors
from tidegate.access import Grants
from tidegate.catalog import authn, tokens, users
from tidegate.catalog.abc import Driver, Reader
from tidegate.identity import robots, roles
from tidegate.identity.passwords import Passwords, Throttle
from tidegate.identity.robots import Robots
from tidegate.identity.tokens import DEFAULT_LIFETIME, MAX_LIFETIME, PREFIX, Claims, Signer
from tidegate.model import Principal

WRONG = "invalid credentials"


class Session(msgspec.Struct, frozen=True):
    """Who a token speaks for, until when, in seconds since the epoch: None for one that does not end by itself."""

    principal: Principal
    expires: int | None


class Logins:
    """Logs in, recognises and logs out. To be used on one event loop."""

    def __init__(self, catalog: Driver, signer: Signer, passwords: Passwords) -> None:
        self._catalog = catalog
        self._signer = signer
        self._passwords = passwords
        self._throttle = Throttle()
        self.robots = Robots(catalog)

    async def login(self, name: str, password: str, lifetime: int | None = None) -> str:
        """A token for who knows the password.

        ``lifetime`` is in seconds: None for the default, 0 for the longest. Raises ``Unauthorized``, ``TooManyLogins``,
        ``SlowDown``, ``InvalidArgument`` for a lifetime that is none.
        """
        self._throttle.check(name)
        hashed = await self._catalog.read(lambda tx: users.password(tx, name))
        if not await self._passwords.verify(hashed, password) or hashed is None:
            self._throttle.failed(name)
            raise errors.Unauthorized(WRONG)
        claims = await self._catalog.read(lambda tx: _claims(tx, name, hashed, lifetime))
        return self._signer.sign(claims)

    async def recognise(self, token: str) -> Principal:
        """Who a token speaks for now. Raises ``InvalidToken``, ``RevokedToken``, ``ExpiredToken``."""
        return (await self._open(token)).principal

    async def expires(self, token: str) -> int | None:
        """When a token ends by itself, in seconds since the epoch, if it does. Raises as ``recognise``."""
        return (await self._open(token)).expires

    async def _open(self, token: str) -> Session:
        digest = sha256(token.encode("utf-8", "surrogateescape")).digest()
        # Remembered for as long as nobody changes a user, a role, a bucket or a key: no token is verified twice.
        session = await self._catalog.recall(("token", digest), lambda tx: self._session(tx, token))
        if session.expires is not None and session.expires <= time.time():
            raise errors.ExpiredToken
        return session

    def _session(self, tx: Reader, token: str) -> Session:
        if token.startswith(robots.PREFIX):
            found = robots.find(tx, token)
            return Session(roles.principal(tx, found.user), found.expires)
        claims = self._signer.read(token, time.time())
        return Session(_principal(tx, claims), claims.exp)

    async def revoke(self, token: str, by: Principal) -> None:
        """Ends a token of ours, which is the caller's own unless that is an administrator.

        One that has expired is ended already. Raises ``InvalidToken``, ``AccessDenied``.
        """
        if token.startswith(robots.PREFIX):
            await self.robots.revoke(token, by)
            return
        now = int(time.time())
        try:
            claims = self._signer.read(token, now)
        except errors.ExpiredToken:
            return
        if claims.uid != by.id and not by.is_admin:
            raise errors.AccessDenied
        await self._catalog.write(lambda tx: tokens.revoke(tx, claims.jti, claims.exp, now))

    async def lifetime(self) -> int:
        """How many seconds a token lives whose user did not say."""
        return await self._catalog.read(authn.token_lifetime) or DEFAULT_LIFETIME

    async def set_lifetime(self, seconds: int) -> None:
        """Raises ``InvalidArgument``."""
        checked = check_lifetime(seconds)
        await self._catalog.write(lambda tx: authn.set_token_lifetime(tx, checked))


def is_token(text: str) -> bool:
    """Whether a text is a token of ours or is meant to be one, good or not. No access key begins so."""
    return text.startswith((PREFIX, robots.PREFIX))


def check_lifetime(seconds: int) -> int:
    """A lifetime in seconds, 0 being the longest. Raises ``InvalidArgument``."""
    if not 0 <= seconds <= MAX_LIFETIME:
        raise errors.InvalidArgument(f"a token lives at most {MAX_LIFETIME // 86400} days")
    return seconds or MAX_LIFETIME


def _claims(tx: Reader, name: str, hashed: str, lifetime: int | None) -> Claims:
    """What the token of a user says whose password has just been verified. Raises ``Unauthorized``."""
    if users.password(tx, name) != hashed:  # changed, or the user removed, meanwhile
        raise errors.Unauthorized(WRONG)
    user = users.get(tx, name)
    found = roles.of(tx, user)
    clusters, buckets = roles.merged(found) if user.roles is not None else (None, None)
    if lifetime is None:
        lifetime = authn.token_lifetime(tx) or DEFAULT_LIFETIME
    now = int(time.time())
    return Claims(
        sub=user.name,
        uid=user.id,
        jti=secrets.token_hex(16),
        iat=now,
        exp=now + check_lifetime(lifetime),
        iss=_issuer(tx),
        pwd=_fingerprint(hashed),
        admin=any(role.admin for role in found),
        clusters=clusters,
        buckets=buckets,
    )


def _principal(tx: Reader, claims: Claims) -> Principal:
    """Who a token speaks for now. Raises ``InvalidToken``, ``RevokedToken``."""
    try:
        user = users.get(tx, claims.sub)
    except errors.NoSuchUser:
        raise errors.InvalidToken from None
    hashed = users.password(tx, user.name)
    if user.id != claims.uid or hashed is None or _fingerprint(hashed) != claims.pwd or claims.iss != _issuer(tx):
        raise errors.InvalidToken
    if tokens.is_revoked(tx, claims.jti):
        raise errors.RevokedToken
    here = authn.cluster_id(tx)
    rights = roles.rights(tx, user, here)
    then = None
    if claims.clusters is not None or claims.buckets is not None:
        then = roles.grants(claims.clusters or (), claims.buckets or (), here)
    return Principal(user.id, user.name, claims.admin and rights.is_admin, _least(then, rights.grants))


def _least(then: Grants | None, now: Grants | None) -> Grants | None:
    """What a user had when the token was issued, and has now. None, for an account without roles, only if both."""
    if then is None and now is None:
        return None
    return Grants() if then is None or now is None else roles.both(then, now)


def _issuer(tx: Reader) -> str:
    return f"tidegate/{authn.cluster_id(tx)}"


def _fingerprint(hashed: str) -> str:
    """Tells passwords apart, by their salted hashes, and tells nothing of them."""
    return sha256(hashed.encode()).hexdigest()[:16]
