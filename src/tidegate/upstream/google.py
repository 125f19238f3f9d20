"""A bucket of Google Cloud Storage, by its JSON API.

The JSON API takes any key and any prefix, and names an object's exact content by its generation: that is what is read
and what conditions are put on. So reading takes two requests, one for what the object is and one for its bytes.

Source: Google Cloud Storage, "JSON API overview", "Resumable uploads", "Transcoding of gzip-compressed files".
"""

from __future__ import annotations

import logging
import secrets
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterable, Mapping, Sequence
from contextlib import aclosing
from typing import Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

import msgspec

from tidegate import checksums, errors
from tidegate.model import EMPTY
from tidegate.properties.tree import ExtraGCP
from tidegate.upstream import google_objects, google_tokens, keys, listing, upload
from tidegate.upstream.abc import Entry, Page, Piece, RemoteObject, Removed
from tidegate.upstream.download import asked, download
from tidegate.upstream.faults import Refusal, fault
from tidegate.upstream.wire import PATIENCE, Answer, Origin, Patience, Request, Wire, encode, origin

T = TypeVar("T")

logger = logging.getLogger(__name__)

PAGE: Final = 1000
_SERVER: Final = Origin("https", "storage.googleapis.com", None)
_JSON: Final = "application/json; charset=UTF-8"
# An object's own size is not limited by parts: an upload is one sequence of them.
_ANY_NUMBER: Final = upload.MAX_SIZE // upload.PART


class GoogleBucket:
    """An ``Upstream``. Credentials are the bucket's file, or what the environment has."""

    def __init__(
        self, uri: str, bucket: str, extra: ExtraGCP, environment: Mapping[str, str], patience: Patience = PATIENCE
    ) -> None:
        self.uri = uri
        self._environment = environment
        self._path = extra.application_creds
        emulator = google_tokens.emulator(environment)
        self._server = emulator or _SERVER
        self._bucket = f"/b/{encode(bucket)}"
        self._wire = Wire(uri, environment, patience)
        self._signer = google_tokens.Signer(uri, self._wire, self._path, environment, is_anonymous=emulator is not None)
        self._cutter = upload.Cutter()
        self._endings = upload.Endings()

    # --- reading -----------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        await self._ask("GET", f"{self._bucket}/o", {"maxResults": "1"})

    async def head(self, key: str) -> RemoteObject:
        return google_objects.described(await self._find(key))

    async def get(
        self, key: str, *, start: int = 0, stop: int | None = None, if_match: str | None = None
    ) -> tuple[RemoteObject, AsyncGenerator[bytes, None]]:
        remote = await self.head(key)
        if if_match is not None and remote.etag != if_match:
            raise errors.RemoteChanged(Key=key)
        if start and start >= remote.size:
            raise errors.InvalidRange(Key=key)
        if stop is not None and start < stop >= remote.size:
            stop = None
        query = {"alt": "media", "generation": remote.version_id}

        async def ask(start: int, stop: int | None, if_match: str | None) -> Answer:  # noqa: ARG001 - the generation
            headers = {"accept-encoding": "gzip", **asked(start, stop, None)}  # as it is stored
            try:
                return await self._ask("GET", self._path_of(key), query, key=key, headers=headers, is_stream=True)
            except errors.NoSuchKey:
                raise errors.RemoteChanged(Key=key) from None  # another generation has taken its place

        def describe(answer: Answer, size: int) -> RemoteObject:
            generation = answer.headers.get("x-goog-generation", remote.version_id)
            if size != remote.size or generation != remote.version_id or google_objects.hash_differs(answer, remote):
                raise errors.RemoteChanged(Key=key)
            return remote

        return await download(self.uri, key, ask, describe, start=start, stop=stop, if_match=if_match)

    async def list(
        self, *, prefix: str = "", delimiter: str = "", after: str = "", token: str = "", limit: int = PAGE
    ) -> Page:
        query = {
            "maxResults": str(min(limit, PAGE)),
            "prefix": prefix,
            "delimiter": delimiter,
            "startOffset": "" if token else listing.begin(after, prefix, delimiter),
        }

        async def fetch(token: str) -> tuple[Sequence[Entry], Sequence[str], str]:
            full = {name: value for name, value in (query | {"pageToken": token}).items() if value}
            answer = await self._ask("GET", f"{self._bucket}/o", full)
            found = self._decode(answer.body, google_objects.Listing)
            return [google_objects.entry(item) for item in found.items], found.prefixes, found.next_page_token

        return await listing.page(
            fetch, self.list, prefix=prefix, delimiter=delimiter, after=after, token=token, limit=limit
        )

    # --- writing -----------------------------------------------------------------------------------------------------

    async def put(
        self,
        key: str,
        body: AsyncIterable[Piece],
        *,
        size: int | None = None,
        headers: Mapping[str, str] = EMPTY,
        metadata: Mapping[str, str] = EMPTY,
        digest: tuple[str, str] | None = None,
        tags: Mapping[str, str] = EMPTY,
        if_match: str | None = None,
        if_none_match: bool = False,
    ) -> RemoteObject:
        keys.check_no_tags(self.uri, tags)
        self._check(key)
        resource = {"name": key, **google_objects.describing(headers, metadata, digest)}
        query = await self._condition(key, if_match, is_new=if_none_match)
        hasher = checksums.new("CRC32C")
        cut = self._cutter.parts(body, size, upload.PART, whole=hasher, most=_ANY_NUMBER)
        async with aclosing(cut) as parts:
            first = await anext(parts)
            if first.is_last:
                try:
                    found = await self._put_whole(first, resource, query)
                finally:
                    self._cutter.done()
            else:
                found = await self._put_parts(key, first, parts, resource, query, hasher)
        return google_objects.described(found)

    async def delete(self, key: str, *, if_match: str | None = None) -> Removed:
        query = await self._condition(key, if_match, is_new=False)
        try:
            await self._ask("DELETE", self._path_of(key), query, key=key, repeats=not query)
        except errors.NoSuchKey:
            if query:
                raise
        return Removed()

    async def copy(
        self,
        source: str,
        key: str,
        *,
        headers: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
        digest: tuple[str, str] | None = None,
        if_match: str | None = None,
    ) -> RemoteObject:
        was = await self.head(source)
        if if_match is not None and was.etag != if_match:
            raise errors.PreconditionFailed(f"{self.uri}: the source of the copy is another object", Key=source)
        resource = None if headers is None or metadata is None else google_objects.describing(headers, metadata, digest)
        path = f"{self._path_of(source)}/rewriteTo{self._path_of(key)}"
        query = {"ifSourceGenerationMatch": was.version_id}
        body = b"" if resource is None else msgspec.json.encode(resource)
        while True:
            answer = await self._ask(
                "POST", path, query, key=source, headers={"content-type": _JSON}, body=body, is_long=True
            )
            state = self._decode(answer.body, google_objects.Rewriting)
            if state.done and state.resource is not None:
                return google_objects.described(state.resource)
            query["rewriteToken"] = state.rewrite_token

    async def close(self) -> None:
        await self._endings.finish()
        await self._wire.close()

    async def buckets(self) -> tuple[str, ...]:
        """The names of all buckets of the project that the environment or the credentials name, in order."""
        names: set[str] = set()
        query = {"project": self._project()}
        while True:
            found = self._decode((await self._ask("GET", "/b", query)).body, google_objects.Buckets)
            names |= {bucket.name for bucket in found.items}
            if not found.next_page_token:
                return tuple(sorted(names))
            query["pageToken"] = found.next_page_token

    # --- uploads -----------------------------------------------------------------------------------------------------

    async def _put_whole(
        self, part: upload.Part, resource: dict[str, object], query: Mapping[str, str]
    ) -> google_objects.Object:
        boundary = secrets.token_hex(16)
        described = msgspec.json.encode(resource | {"md5Hash": b64encode(part.md5).decode()})
        kind = str(resource.get("contentType", "application/octet-stream"))
        body = bytearray(
            f"--{boundary}\r\nContent-Type: {_JSON}\r\n\r\n".encode()
            + described
            + f"\r\n--{boundary}\r\nContent-Type: {kind}\r\n\r\n".encode("latin-1")
        )
        body += part.data
        body += f"\r\n--{boundary}--\r\n".encode()
        answer = await self._ask(
            "POST",
            f"/upload/storage/v1{self._bucket}/o",
            {"uploadType": "multipart", **query},
            headers={"content-type": f"multipart/related; boundary={boundary}"},
            body=body,
            repeats=not query,
        )
        return self._decode(answer.body, google_objects.Object)

    async def _put_parts(
        self,
        key: str,
        first: upload.Part,
        parts: AsyncGenerator[upload.Part, None],
        resource: dict[str, object],
        query: Mapping[str, str],
        hasher: checksums.Hasher,
    ) -> google_objects.Object:
        """Sends a body in a resumable upload, which is given up if it comes to nothing."""
        try:
            session = await self._begin(resource, query)
        except BaseException:
            self._cutter.done()
            raise
        part = first
        try:
            while True:
                try:
                    found = await self._send_part(key, session, part)
                finally:
                    self._cutter.done()
                if part.is_last:
                    break
                part = await anext(parts)
            if found is None:
                raise errors.RemoteUnavailable(f"{self.uri}: the remote did not end an upload")
        except BaseException as error:
            await self._endings.run(self._give_up(session), error)
            raise
        if found.crc32c is not None and found.crc32c != checksums.encode(hasher.digest()):
            generation = {"ifGenerationMatch": found.generation}
            await self._ask("DELETE", self._path_of(key), generation, key=key)
            raise errors.RemoteDamaged(f"{self.uri}: the remote received other bytes than were sent", Key=key)
        return found

    async def _begin(self, resource: dict[str, object], query: Mapping[str, str]) -> Request:
        """Where the parts of an upload go. Only to the same server: the address has a secret in it."""
        answer = await self._ask(
            "POST",
            f"/upload/storage/v1{self._bucket}/o",
            {"uploadType": "resumable", **query},
            headers={"content-type": _JSON},
            body=bytearray(msgspec.json.encode(resource)),
        )
        location = urlsplit(answer.headers.get("location", ""))
        place = msgspec.structs.replace(self._server, path="")
        try:
            is_same = origin(f"{location.scheme}://{location.netloc}") == place
        except errors.InvalidArgument:
            is_same = False
        if not is_same:
            raise errors.RemoteUnavailable(f"{self.uri}: the remote sends an upload to another place")
        return Request("PUT", place, location.path, tuple(parse_qsl(location.query, keep_blank_values=True)))

    async def _send_part(self, key: str, session: Request, part: upload.Part) -> google_objects.Object | None:
        """Sends a part, perhaps in several steps. The object, if that was all of it."""
        end = part.offset + len(part.data)
        total = str(end) if part.is_last else "*"
        at = part.offset
        while True:
            span = f"bytes {at}-{end - 1}/{total}" if end > at else f"bytes */{total}"
            request = msgspec.structs.replace(
                session,
                headers={"content-range": span},
                body=part.data[at - part.offset :] if at > part.offset else part.data,
            )
            answer = await self._wire.send(request, self._signer.sign)
            if answer.status < 300:
                return self._decode(answer.body, google_objects.Object)
            if answer.status != 308:
                raise self._fault(answer, key)
            _, _, last = answer.headers.get("range", "").rpartition("-")
            has = int(last) + 1 if last.isdecimal() else 0
            if has == end and not part.is_last:
                return None
            if not at < has <= end and not (has == end and part.is_last):
                raise errors.RemoteUnavailable(f"{self.uri}: the remote has lost a part of an upload")
            at = has

    async def _give_up(self, session: Request) -> None:
        try:
            await self._wire.send(msgspec.structs.replace(session, method="DELETE"), self._signer.sign)
        except errors.Error as error:
            logger.warning("%s: parts of an upload are left at the remote: %s", self.uri, error)

    async def _condition(self, key: str, if_match: str | None, *, is_new: bool) -> dict[str, str]:
        """A condition on the generation: that of the object which has the ETag now, or none."""
        if is_new:
            return {"ifGenerationMatch": "0"}
        if if_match is None:
            return {}
        was = await self.head(key)
        if was.etag != if_match:
            raise errors.PreconditionFailed(Condition="If-Match")
        return {"ifGenerationMatch": was.version_id}

    # --- requests ----------------------------------------------------------------------------------------------------

    def _check(self, key: str) -> None:
        keys.check(self.uri, key)
        if key in {".", ".."} or "\r" in key or "\n" in key:
            raise errors.UnrepresentableKey(f'{self.uri}: "." and ".." and line ends cannot be in a key', Key=key)

    def _path_of(self, key: str) -> str:
        self._check(key)
        return f"{self._bucket}/o/{encode(key)}"

    async def _find(self, key: str) -> google_objects.Object:
        return self._decode((await self._ask("GET", self._path_of(key), key=key)).body, google_objects.Object)

    async def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] = EMPTY,
        *,
        key: str | None = None,
        headers: Mapping[str, str] = EMPTY,
        body: bytes | bytearray = b"",
        repeats: bool = True,
        is_long: bool = False,
        is_stream: bool = False,
    ) -> Answer:
        request = Request(
            method,
            self._server,
            path if path.startswith("/upload/") else f"/storage/v1{path}",
            tuple(query.items()),
            headers,
            body,
            repeats=repeats,
            is_long=is_long,
            is_stream=is_stream,
        )
        answer = await self._wire.send(request, self._signer.sign)
        if answer.status < 300:
            return answer
        raise self._fault(answer, key)

    def _fault(self, answer: Answer, key: str | None) -> errors.Error:
        try:
            words = msgspec.json.decode(answer.body, type=google_objects.Refused).error.message
        except msgspec.MsgspecError:
            words = ""
        code = "NoSuchBucket" if answer.status == 404 and "bucket does not exist" in words else ""
        return fault(self.uri, Refusal(answer.status, code, words), key)

    def _decode(self, body: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.MsgspecError:
            raise errors.RemoteUnavailable(f"{self.uri}: the remote's answer is not what it should be") from None

    def _project(self) -> str:
        named = self._environment.get("GOOGLE_CLOUD_PROJECT") or self._environment.get("GCLOUD_PROJECT")
        if named:
            return named
        if google_tokens.emulator(self._environment) is None:
            mine = google_tokens.credentials(self.uri, self._path, self._environment)
            if mine is not None and (mine.project_id or mine.quota_project_id):
                return mine.project_id or mine.quota_project_id
        raise errors.RemoteRefused(f"{self.uri}: to list buckets, set GOOGLE_CLOUD_PROJECT in the server's environment")
