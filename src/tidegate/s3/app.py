"""The S3 door as an ASGI application: one request in, one answer out.

The order never changes: the target is parsed, the caller authenticated, the operation routed, what it cannot do
refused; then the operation runs. Errors become XML here and nowhere else.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from tidegate import errors
from tidegate.asgi import (
    ACCESS_KEY,
    ANSWER,
    ERROR,
    IS_REPOS,
    OPERATION,
    REQUEST_ID,
    Headers,
    Receive,
    Scope,
    Send,
    send_stream,
)
from tidegate.gateway.accounts import is_token
from tidegate.model import ANONYMOUS, EMPTY, EVERYONE, Principal
from tidegate.s3 import faults, fields, passing, signature
from tidegate.s3.call import Call, Response
from tidegate.s3.fields import COMMIT_MESSAGE, IF_HEAD
from tidegate.s3.operations import HANDLERS
from tidegate.s3.operations.passing import HANDLERS as PASSING
from tidegate.s3.routing import hoisted_headers, route
from tidegate.s3.signature import Authenticated, Presigned, SignedRequest, Unverified
from tidegate.s3.support import check_headers
from tidegate.s3.target import Target, meaning, parse_query, parse_target, split_query
from tidegate.telemetry import failures

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from tidegate.gateway import Gateway
    from tidegate.passage import Passage
    from tidegate.s3.signature.canonical import Pair
    from tidegate.settings import Settings

logger = logging.getLogger(__name__)

_READING = frozenset({"GetObject", "HeadObject", "GetObjectAttributes", "GetObjectTagging"})
_PARSED = "tidegate.s3_target"  # in the scope: bucket and key, for the log


def create(gateway: Gateway, settings: Settings) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """The door, for a gateway that stays open as long as it is used."""
    return Door(gateway, settings.domains, authenticates=settings.auth)


class Door:
    """The application."""

    def __init__(self, gateway: Gateway, domains: tuple[str, ...], *, authenticates: bool) -> None:
        self._gateway = gateway
        self._domains = domains
        self._authenticates = authenticates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = failures.new_request_id()
        scope[REQUEST_ID] = request_id
        has_started = False
        try:
            response = await self._answer(scope, receive)
            has_started = True
            if isinstance(response.body, bytes):
                await _send(send, response, request_id, is_head=scope["method"] == "HEAD")
            else:
                headers: Headers = [(b"x-amz-request-id", request_id.encode()), *response.headers]
                await send_stream(send, receive, response.status, headers, response.body)
        except errors.ClientDisconnected:
            return
        except errors.Error as fault:
            error = faults.translated(fault, reads_object=scope.get(OPERATION) in _READING)
            _log(scope, error, request_id, has_started=has_started)
            if has_started:
                raise  # the connection breaks: what was sent so far must not look complete
            await self._refuse(scope, send, error, request_id)
        except Exception as error:
            if has_started:
                raise
            _log(scope, error, request_id)
            await self._refuse(scope, send, errors.Error(), request_id)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if len(headers) != len(scope["headers"]):
            headers = _joined(scope["headers"])
        raw_query = scope["query_string"]
        presigned = signature.usual(raw_query) if raw_query else None
        if presigned is None:
            pairs = split_query(raw_query) if raw_query else []
            query = meaning(raw_query, pairs) if pairs else []
        else:
            pairs, query = [], parse_query(presigned.own) if presigned.own else []
        target = parse_target(scope["raw_path"], headers.get("host", ""), self._domains)
        scope[_PARSED] = target
        principal, authenticated, passage = EVERYONE, None, None
        if self._authenticates:
            unverified = _unverified(scope, target, pairs, presigned)
            try:
                principal, authenticated = await self._authenticate(scope, unverified)
            except (errors.InvalidAccessKeyId, errors.InvalidToken):
                stranger = await self._stranger(scope, target, unverified)
                if stranger is None or unverified is None:
                    raise
                principal = stranger
                passage = self._passage(scope, query, headers, unverified)
            if authenticated is not None:
                scope[ACCESS_KEY] = authenticated.access_key
        elif presigned is not None or _has_signature(headers, pairs):
            read = partial(_unverified, scope, target, pairs, presigned)
            passage = await self._passage_of_anybody(scope, target, headers, read, query)
        if query and (hoisted := hoisted_headers(query)):
            headers = hoisted | headers
        operation = route(scope["method"], target.level, query, headers)
        scope[OPERATION] = operation.name
        handler = HANDLERS.get(operation.name)
        if handler is None:
            raise errors.NotImplementedByServer(f"The operation {operation.name} is not implemented.")
        if passage is not None and operation.name not in PASSING:
            if self._authenticates:
                raise errors.AccessDenied("A request that is signed for the remote may read or write one object only.")
            passage = None
        if passage is None:
            check_headers(operation, headers)
        else:
            handler = PASSING[operation.name]
            passing.check(operation, headers, dict(query))
        if IF_HEAD in headers or COMMIT_MESSAGE in headers:
            principal = fields.noted(principal, headers)
        call = Call(
            self._gateway,
            scope["method"],
            scope["scheme"],
            target,
            operation,
            headers,
            dict(query) if query else EMPTY,
            principal,
            authenticated,
            receive,
            scope[REQUEST_ID],
            passage,
            IS_REPOS in scope,
        )
        if passage is None and (
            "x-amz-expected-bucket-owner" in headers or "x-amz-source-expected-bucket-owner" in headers
        ):
            await _check_expected_owner(call)  # of a passage, whose bucket it should be is for the remote to say
        return await handler(call)

    async def _authenticate(
        self, scope: Scope, unverified: Unverified | None
    ) -> tuple[Principal, Authenticated | None]:
        """Who signed the request, if anyone. Once, before anything is done with it."""
        if unverified is None:
            return ANONYMOUS, None
        if unverified.token is not None:
            return await self._by_token(scope, unverified, unverified.token)
        return await self._signer(unverified)

    async def _signer(self, unverified: Unverified) -> tuple[Principal, Authenticated]:
        """Who signed, by an access key of ours; or by a token, which is access key and secret key in one, as
        Pachyderm's clients have it. Such a token never goes into an answer, a log, or to a remote.
        """
        key = unverified.access_key
        if not is_token(key):
            principal, secret = await self._gateway.identity.find(key)
            return principal, unverified.verify(secret)
        if unverified.presigned:
            raise errors.AccessDenied(
                "A presigned URL would show the token to everybody who gets to see it: sign URLs with an access key."
            )
        try:
            principal = await self._gateway.accounts.recognise(key)
        except (errors.InvalidToken, errors.RevokedToken, errors.ExpiredToken):
            raise errors.UnknownToken from None
        try:
            authenticated = unverified.verify(key)
        except errors.SignatureDoesNotMatch as error:
            error.fields.pop("AWSAccessKeyId", None)
            raise
        return principal, msgspec.structs.replace(authenticated, access_key=principal.name)

    async def _by_token(
        self, scope: Scope, unverified: Unverified, token: str
    ) -> tuple[Principal, Authenticated | None]:
        """Whose token a request carries. A signature beside it has to be by a key of the same user, or of nobody here:
        SDKs sign with whatever they have. What nobody here signed must not be a URL, which anybody could have written.
        """
        principal = await self._gateway.accounts.recognise(token)
        scope[ACCESS_KEY] = principal.name
        if not unverified.access_key:
            return principal, None
        try:
            signer, authenticated = await self._signer(unverified)
        except errors.InvalidAccessKeyId:
            if unverified.presigned:
                raise
            return principal, None
        if signer.id != principal.id:
            raise errors.AccessDenied("The access key and the security token are not of the same user.")
        return principal, authenticated

    async def _stranger(self, scope: Scope, target: Target, unverified: Unverified | None) -> Principal | None:
        """Who may have signed for the remote that keeps the bucket, and not for us."""
        is_for_object = target.bucket is not None and target.key is not None and scope["method"] in passing.METHODS
        if unverified is None or not unverified.access_key or not is_for_object:
            return None
        return await self._gateway.passing.stranger(target.bucket or "", unverified.token, unverified.access_key)

    def _passage(
        self, scope: Scope, query: Sequence[tuple[str, str]], headers: Mapping[str, str], unverified: Unverified
    ) -> Passage:
        return passing.passage_of(
            scope["method"], scope["query_string"], query, headers, unverified, must_ask=self._authenticates
        )

    async def _passage_of_anybody(
        self,
        scope: Scope,
        target: Target,
        headers: Mapping[str, str],
        read: Callable[[], Unverified | None],
        query: Sequence[tuple[str, str]],
    ) -> Passage | None:
        """Where nobody is authenticated, signatures mean nothing, but for those that are meant for a remote."""
        if target.bucket is None or await self._gateway.passing.stranger(target.bucket) is None:
            return None
        unverified = read()
        if unverified is None or await self._stranger(scope, target, unverified) is None:
            return None
        try:
            await self._gateway.identity.find(unverified.access_key)
        except errors.InvalidAccessKeyId:
            return self._passage(scope, query, headers, unverified)
        return None

    async def _refuse(self, scope: Scope, send: Send, error: errors.Error, request_id: str) -> None:
        scope[ERROR] = error.code
        response = faults.response(error, scope["raw_path"], request_id)
        await _send(send, response, request_id, is_head=scope["method"] == "HEAD")


def _unverified(scope: Scope, target: Target, pairs: Sequence[Pair], presigned: Presigned | None) -> Unverified | None:
    """Who claims to have signed a request."""
    return signature.read(
        SignedRequest(scope["method"], scope["raw_path"], scope["query_string"], scope["headers"]),
        time.time(),
        fields=pairs,
        presigned=presigned,
        prefix=target.path_prefix.encode(),
        host_bucket=target.bucket.encode() if target.virtual_host and target.bucket else b"",
    )


def _has_signature(headers: Mapping[str, str], pairs: Sequence[Pair]) -> bool:
    """Whether a request carries any mark of a signature."""
    return "authorization" in headers or any(name in signature.MARKS for name, _, _ in pairs)


def _log(scope: Scope, error: Exception, request_id: str, *, has_started: bool = False) -> None:
    if has_started and not failures.is_known(error):
        return  # who breaks the connection tells
    target = scope.get(_PARSED) or Target(None, None)
    failures.log(logger, error, request_id, target.bucket, target.key, has_started=has_started)


def _joined(pairs: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers by name, values of those that came more than once joined (RFC 9110 section 5.3)."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


async def _check_expected_owner(call: Call) -> None:
    """Raises ``AccessDenied`` where the client says whom a bucket should belong to, and it does not."""
    expected = call.headers.get("x-amz-expected-bucket-owner")
    if expected is not None and call.operation.name != "CreateBucket":
        bucket = await call.gateway.buckets.get(call.principal, call.name)
        if bucket.owner != expected:
            raise errors.AccessDenied
    source_expected = call.headers.get("x-amz-source-expected-bucket-owner")
    if source_expected is not None and "x-amz-copy-source" in call.headers:
        source = fields.copy_source(call)
        if (await call.gateway.buckets.get(call.principal, source.bucket)).owner != source_expected:
            raise errors.AccessDenied


def _send(send: Send, response: Response, request_id: str, *, is_head: bool) -> Awaitable[None]:
    body = response.body
    if not isinstance(body, bytes):
        raise TypeError(body)
    headers: Headers = [(b"x-amz-request-id", request_id.encode()), *response.headers]
    if not is_head and response.status not in {204, 304}:
        headers.append((b"content-length", b"%d" % len(body)))
    return send({"type": ANSWER, "status": response.status, "headers": headers, "body": b"" if is_head else body})
