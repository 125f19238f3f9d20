"""An HTTP(S) origin as a bucket that can only be read: a key is put behind the origin's URL.

The web cannot be listed or written. A redirect is followed within the origin only: whoever runs it must not be able to
send us elsewhere. A name and password in the URL are sent as Basic authentication, and never shown.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from typing import Final
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

import msgspec

from tidegate import checksums, errors
from tidegate.model import EMPTY, STORED_HEADERS
from tidegate.upstream import keys, times
from tidegate.upstream.abc import Page, Piece, RemoteObject, Removed
from tidegate.upstream.download import asked, download, size_of
from tidegate.upstream.faults import Refusal, fault
from tidegate.upstream.wire import PATIENCE, Answer, Origin, Patience, Request, Wire, encode, origin

# As many as browsers' tests use for a sensible site: http to https, a slash, a language, and some more.
REDIRECTS: Final = 5
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_SHA256: Final = "sha-256=:"


class WebOrigin:
    """An ``Upstream`` that refuses to be written (``MethodNotAllowed``) or listed (``NotImplementedByServer``)."""

    def __init__(self, uri: str, url: str, environment: Mapping[str, str], patience: Patience = PATIENCE) -> None:
        self.uri = uri
        parts = urlsplit(url)
        user, is_known, place = parts.netloc.rpartition("@")
        self._origin = origin(parts._replace(netloc=place).geturl())
        self._headers: dict[str, str] = {}
        if is_known:
            name, _, password = user.partition(":")
            secret = b":".join((unquote_to_bytes(name), unquote_to_bytes(password)))
            self._headers["authorization"] = f"Basic {b64encode(secret).decode()}"
        self._wire = Wire(uri, environment, patience)

    async def check(self) -> None:
        """Returns if the origin answers, whatever it has at its root: an origin need not have a page there."""
        answer = await self._send("HEAD", "/", EMPTY, is_stream=False)
        if answer.status in {401, 407} or answer.status >= 500:
            raise fault(self.uri, Refusal(answer.status))

    async def head(self, key: str) -> RemoteObject:
        answer = await self._send("HEAD", _path(self.uri, key), EMPTY, is_stream=False)
        if answer.status in {405, 501}:  # an origin that knows GET only
            answer = await self._ask(key, EMPTY)
            if answer.stream is not None:
                await answer.stream.close()
        elif answer.status >= 300:
            raise fault(self.uri, Refusal(answer.status), key)
        return _described(key, answer, size_of(self.uri, answer, Key=key))

    async def get(
        self, key: str, *, start: int = 0, stop: int | None = None, if_match: str | None = None
    ) -> tuple[RemoteObject, AsyncGenerator[bytes, None]]:
        async def ask(start: int, stop: int | None, if_match: str | None) -> Answer:
            return await self._ask(key, asked(start, stop, if_match))

        def describe(answer: Answer, size: int) -> RemoteObject:
            return _described(key, answer, size)

        return await download(self.uri, key, ask, describe, start=start, stop=stop, if_match=if_match)

    async def list(
        self,
        *,
        prefix: str = "",  # noqa: ARG002 - a Protocol's
        delimiter: str = "",  # noqa: ARG002
        after: str = "",  # noqa: ARG002
        token: str = "",  # noqa: ARG002
        limit: int = 1000,  # noqa: ARG002
    ) -> Page:
        raise errors.NotImplementedByServer(f"{self.uri}: an HTTP origin cannot be listed")

    async def put(
        self,
        key: str,
        body: AsyncIterable[Piece],  # noqa: ARG002 - a Protocol's
        *,
        size: int | None = None,  # noqa: ARG002
        headers: Mapping[str, str] = EMPTY,  # noqa: ARG002
        metadata: Mapping[str, str] = EMPTY,  # noqa: ARG002
        digest: tuple[str, str] | None = None,  # noqa: ARG002
        tags: Mapping[str, str] = EMPTY,  # noqa: ARG002
        if_match: str | None = None,  # noqa: ARG002
        if_none_match: bool = False,  # noqa: ARG002
    ) -> RemoteObject:
        raise self._read_only(key)

    async def delete(self, key: str, *, if_match: str | None = None) -> Removed:  # noqa: ARG002
        raise self._read_only(key)

    async def copy(
        self,
        source: str,  # noqa: ARG002 - a Protocol's
        key: str,
        *,
        headers: Mapping[str, str] | None = None,  # noqa: ARG002
        metadata: Mapping[str, str] | None = None,  # noqa: ARG002
        digest: tuple[str, str] | None = None,  # noqa: ARG002
        if_match: str | None = None,  # noqa: ARG002
    ) -> RemoteObject:
        raise self._read_only(key)

    async def close(self) -> None:
        await self._wire.close()

    def _read_only(self, key: str) -> errors.Error:
        return errors.MethodNotAllowed(f"{self.uri}: an HTTP origin can only be read", Key=key)

    async def _ask(self, key: str, headers: Mapping[str, str]) -> Answer:
        answer = await self._send("GET", _path(self.uri, key), headers, is_stream=True)
        if answer.status < 300:
            return answer
        raise fault(self.uri, Refusal(answer.status), key)

    async def _send(self, method: str, path: str, headers: Mapping[str, str], *, is_stream: bool) -> Answer:
        request = Request(method, self._origin, path, headers={**self._headers, **headers}, is_stream=is_stream)
        place = msgspec.structs.replace(self._origin, path="")
        for _ in range(REDIRECTS):
            answer = await self._wire.send(request)
            if answer.status not in _MOVED:
                return answer
            here = f"{place.scheme}://{place.authority}{request.target}"
            target = _within(place, here, answer.headers.get("location", ""))
            if target is None:
                raise errors.RemoteUnavailable(
                    f"{self.uri}: the remote redirects to another place, which is not followed: set "
                    "extra.http.original_url to that place"
                )
            request = msgspec.structs.replace(request, origin=place, path=target)
        raise errors.RemoteUnavailable(f"{self.uri}: the remote redirects in circles")


def _within(place: Origin, here: str, location: str) -> str | None:
    """The path that a redirect from ``here`` goes to, if it is within the origin and has no query."""
    try:
        target = urlsplit(urljoin(here, location))
        is_same = origin(f"{target.scheme}://{target.netloc}") == place
    except (ValueError, errors.InvalidArgument):
        return None
    return encode(target.path, "/%") or "/" if is_same and not target.query else None


def _path(uri: str, key: str) -> str:
    """The path of a key. Raises for what web servers take for another: dots as segments, and slashes in a row."""
    keys.check(uri, key)
    segments = key.removesuffix("/").split("/")
    if not all(segments) or "." in segments or ".." in segments:
        raise errors.UnrepresentableKey(
            f'{uri}: an HTTP origin has no objects with "", "." or ".." between slashes in their names', Key=key
        )
    return f"/{encode(key, '/')}"


def _described(key: str, answer: Answer, size: int) -> RemoteObject:
    """What an answer's head says. A weak ETag does not identify bytes, so it is none."""
    headers = answer.headers
    etag = headers.get("etag", "")
    sums: dict[str, str] = {}
    if "content-md5" in headers and answer.status == 200:
        sums["MD5"] = headers["content-md5"]
    for item in headers.get("repr-digest", "").split(","):  # RFC 9530
        if item.strip().startswith(_SHA256):
            sums["SHA256"] = item.strip().removeprefix(_SHA256).removesuffix(":")
    return RemoteObject(
        key,
        size,
        "" if etag.startswith("W/") else etag.strip('"'),
        times.from_http(headers.get("last-modified", "")),
        "",
        {name: headers[name] for name in STORED_HEADERS if name in headers},
        EMPTY,
        {name: value for name, value in sums.items() if _is_digest(name, value)},
    )


def _is_digest(name: str, value: str) -> bool:
    try:
        checksums.decode(name, value)
    except errors.InvalidRequest:
        return False
    return True
