"""Tokens: JSON Web Tokens, signed and read. Pure functions of a key and a clock; who the token speaks for now, and
whether it was revoked, is not known here.

A token is a JWS in compact form, signed with HMAC-SHA-256 under a key that serves nothing else. What its header says is
never asked: it has to be the one header that ours have, so that no other algorithm, key or encoding is ever tried.

Source: RFC 7519; RFC 8725 for what is checked; the claims are AIStore's and four of ours.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

import msgspec

from tidegate import errors
from tidegate.catalog.roles import BucketRule, ClusterRule

if TYPE_CHECKING:
    from joserfc.jwk import OctKey

ALGORITHM: Final = "HS256"
HOUR: Final = 60 * 60
DEFAULT_LIFETIME: Final = 24 * HOUR  # seconds; AIStore's default
MAX_LIFETIME: Final = 90 * 24 * HOUR  # AIStore's limit
# A header section has 16 KiB, and there are other headers.
MAX_LENGTH: Final = 8 * 1024
# Seconds that a clock may be ahead of the one that a token was issued by: the same machine's, a moment before.
LEEWAY: Final = 60

_HEADER: Final = {"alg": ALGORITHM, "typ": "JWT"}
# The header as it is encoded, with the dot behind it: every token of ours begins so.
PREFIX: Final = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."


class Claims(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a token says. Times are seconds since the epoch.

    ``sub`` is the user's name and ``uid`` the canonical id: who is made again under the name of somebody who is gone is
    somebody else. ``jti`` is the token's id. ``pwd`` tells of which password it came, so that a new one ends it.
    Without ``clusters`` and ``buckets`` it is of an account without roles.
    """

    sub: str
    uid: str
    jti: str
    iat: int
    exp: int
    iss: str
    pwd: str
    nbf: int = 0
    admin: bool = False
    clusters: tuple[ClusterRule, ...] | None = None
    buckets: tuple[BucketRule, ...] | None = None


_decode = msgspec.json.Decoder(Claims).decode
_encode = msgspec.json.Encoder().encode


class Signer:
    """Signs and reads the tokens of one key."""

    def __init__(self, key: bytes) -> None:
        self._secret = key

    @cached_property
    def _key(self) -> OctKey:
        from joserfc.jwk import OctKey  # noqa: PLC0415 - 3 MB that a server without tokens does not need

        return OctKey.import_key(self._secret)

    def sign(self, claims: Claims) -> str:
        """The token. Raises ``InvalidRequest`` where it would be too long to be sent in a header."""
        from joserfc import jws  # noqa: PLC0415 - as above

        token = jws.serialize_compact(dict(_HEADER), _encode(claims), self._key, algorithms=[ALGORITHM])
        if len(token) > MAX_LENGTH:
            raise errors.InvalidRequest(
                f"the user's roles have too many rules for a token of at most {MAX_LENGTH} bytes: give one role that "
                "says it in fewer, or use access keys"
            )
        return token

    def read(self, token: str, now: float) -> Claims:
        """What a token says that is signed by us and in force. Raises ``InvalidToken``, ``ExpiredToken``."""
        from joserfc import jws  # noqa: PLC0415 - as above
        from joserfc.errors import JoseError  # noqa: PLC0415 - as above

        if len(token) > MAX_LENGTH or not token.startswith(PREFIX) or not token.isascii():
            raise errors.InvalidToken
        try:
            claims = _decode(jws.deserialize_compact(token, self._key, algorithms=[ALGORITHM]).payload or b"")
        except (JoseError, ValueError, msgspec.MsgspecError):
            raise errors.InvalidToken from None
        if not 0 < claims.exp - claims.iat <= MAX_LIFETIME or max(claims.iat, claims.nbf) > now + LEEWAY:
            raise errors.InvalidToken
        if claims.exp <= now:
            raise errors.ExpiredToken
        return claims
