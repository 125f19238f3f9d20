"""A bucket as the stateful test drives it: straight through the gateway, and with boto3 over HTTP."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from botocore.exceptions import ClientError

from tidegate import errors
from tidegate.catalog.versions import Deleted
from tidegate.gateway import Gateway, Wanted
from tidegate.gateway.body import PlainBody
from tidegate.gateway.copying import Source
from tidegate.gateway.multipart import Expected
from tidegate.gateway.objects import Deletion, NewObject
from tidegate.model import EVERYONE, Versioning
from tidegate.preconditions import Preconditions

T = TypeVar("T")

_numbers = itertools.count(1)

Labels = Mapping[str, str]


class Refused(Exception):  # noqa: N818 - it is S3's refusal, not a fault
    """An operation was refused, with S3's code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Written:
    """What became of a write. The version id is empty where the bucket names none."""

    etag: str
    version_id: str


@dataclass(frozen=True)
class Found:
    """An object that was read."""

    data: bytes
    etag: str
    metadata: Labels
    tags: Labels


Page = tuple[list[str], list[str], bool]
VersionPage = tuple[list[tuple[str, str, bool, bool]], list[str], bool]


class Store(Protocol):
    """One bucket. Every operation raises ``Refused``. An empty version id means the newest."""

    def keep(self, versioning: Versioning) -> None: ...

    def put(
        self,
        key: str,
        data: bytes,
        *,
        metadata: Labels,
        tags: Labels,
        if_match: str | None = None,
        if_none_match: bool = False,
        offset: int | None = None,
    ) -> Written: ...

    def get(self, key: str, version_id: str = "", byte_range: tuple[int, int] | None = None) -> Found: ...

    def delete(self, key: str, version_id: str = "", if_match: str | None = None) -> tuple[str, bool]: ...

    def delete_many(self, wanted: Sequence[tuple[str, str]]) -> list[tuple[str, bool]]: ...

    def copy(self, source: str, version_id: str, key: str, metadata: Labels | None) -> Written: ...

    def rename(self, source: str, key: str) -> None: ...

    def tag(self, key: str, version_id: str, tags: Labels) -> None: ...

    def begin(self, key: str, metadata: Labels, tags: Labels) -> str: ...

    def part(self, key: str, upload: str, number: int, data: bytes) -> str: ...

    def copy_part(self, key: str, upload: str, number: int, source: str, byte_range: tuple[int, int]) -> str: ...

    def parts(self, key: str, upload: str) -> list[tuple[int, str, int]]: ...

    def complete(self, key: str, upload: str, parts: Sequence[tuple[int, str]]) -> Written: ...

    def abort(self, key: str, upload: str) -> None: ...

    def list_keys(self, prefix: str, delimiter: str, after: str, limit: int, version: int) -> Page: ...

    def walk_keys(self, prefix: str, delimiter: str, limit: int, version: int) -> tuple[list[str], list[str]]: ...

    def list_versions(self, prefix: str, delimiter: str, after: str, after_id: str, limit: int) -> VersionPage: ...

    def uploads(self) -> list[tuple[str, str]]: ...

    def close(self) -> None:
        """Removes the bucket, which has to be empty."""


# --- through the gateway ---------------------------------------------------------------------------------------------


async def _in_threes(data: bytes) -> AsyncIterator[bytes]:
    """Bytes that come in pieces of a few."""
    for start in range(0, len(data), 3):
        yield data[start : start + 3]


class GatewayStore:
    """A new bucket behind a gateway."""

    def __init__(self, runner: asyncio.Runner, gateway: Gateway) -> None:
        self._runner = runner
        self.gateway = gateway
        self.bucket = f"stateful-{next(_numbers)}"
        self.run(lambda: gateway.buckets.create(EVERYONE, self.bucket))

    def run(self, act: Callable[[], Coroutine[Any, Any, T]]) -> T:
        try:
            return self._runner.run(act())
        except errors.Error as error:
            raise Refused(error.code) from error

    def close(self) -> None:
        self.run(lambda: self.gateway.buckets.delete(EVERYONE, self.bucket))

    def keep(self, versioning: Versioning) -> None:
        self.run(lambda: self.gateway.buckets.set_versioning(EVERYONE, self.bucket, versioning))

    def put(
        self,
        key: str,
        data: bytes,
        *,
        metadata: Labels,
        tags: Labels,
        if_match: str | None = None,
        if_none_match: bool = False,
        offset: int | None = None,
    ) -> Written:
        preconditions = Preconditions(
            if_match=None if if_match is None else (if_match,), if_none_match=("*",) if if_none_match else None
        )
        new = NewObject(metadata=dict(metadata), tags=dict(tags))
        version = self.run(
            lambda: self.gateway.objects.put(
                EVERYONE,
                self.bucket,
                key,
                PlainBody(_in_threes(data), len(data)),
                new,
                preconditions=preconditions,
                write_offset=offset,
            )
        )
        return Written(version.etag, version.version_id)

    def get(self, key: str, version_id: str = "", byte_range: tuple[int, int] | None = None) -> Found:
        async def read() -> Found:
            reading = await self.gateway.objects.read(EVERYONE, self.bucket, key, version_id)
            version = reading.version
            first, last = byte_range or (0, version.size - 1)
            pieces = [piece async for piece in reading.stream(first, min(last, version.size - 1) - first + 1)]
            assert reading.data is None or b"".join(pieces) == reading.data[first : last + 1]
            return Found(b"".join(pieces), version.etag, version.attributes.metadata, version.tags)

        return self.run(read)

    def delete(self, key: str, version_id: str = "", if_match: str | None = None) -> tuple[str, bool]:
        preconditions = Preconditions(if_match=None if if_match is None else (if_match,))
        deletion = Deletion(key, version_id, preconditions)
        deleted = self.run(lambda: self.gateway.objects.delete(EVERYONE, self.bucket, deletion))
        return deleted.version_id, deleted.is_delete_marker

    def delete_many(self, wanted: Sequence[tuple[str, str]]) -> list[tuple[str, bool]]:
        deletions = [Deletion(key, version_id) for key, version_id in wanted]
        outcomes = self.run(lambda: self.gateway.objects.delete_many(EVERYONE, self.bucket, deletions))
        assert not [outcome for outcome in outcomes if isinstance(outcome, errors.Error)]
        return [(done.version_id, done.is_delete_marker) for done in outcomes if isinstance(done, Deleted)]

    def copy(self, source: str, version_id: str, key: str, metadata: Labels | None) -> Written:
        replace = None if metadata is None else NewObject(metadata=dict(metadata))
        copied = self.run(
            lambda: self.gateway.copying.copy(
                EVERYONE, Source(self.bucket, source, version_id), self.bucket, key, replace=replace
            )
        )
        return Written(copied.version.etag, copied.version.version_id)

    def rename(self, source: str, key: str) -> None:
        self.run(lambda: self.gateway.copying.rename(EVERYONE, self.bucket, Source(self.bucket, source), key))

    def tag(self, key: str, version_id: str, tags: Labels) -> None:
        self.run(lambda: self.gateway.objects.set_tags(EVERYONE, self.bucket, key, version_id, tags))

    def begin(self, key: str, metadata: Labels, tags: Labels) -> str:
        new = NewObject(metadata=dict(metadata), tags=dict(tags))
        upload = self.run(lambda: self.gateway.multipart.create(EVERYONE, self.bucket, key, new))
        return str(upload.id)

    def part(self, key: str, upload: str, number: int, data: bytes) -> str:
        part, _ = self.run(
            lambda: self.gateway.multipart.put_part(
                EVERYONE, self.bucket, key, upload, number, PlainBody(_in_threes(data), len(data))
            )
        )
        return str(part.etag)

    def copy_part(self, key: str, upload: str, number: int, source: str, byte_range: tuple[int, int]) -> str:
        part, _ = self.run(
            lambda: self.gateway.multipart.copy_part(
                EVERYONE, Source(self.bucket, source), byte_range, self.bucket, key, upload, number
            )
        )
        return str(part.etag)

    def parts(self, key: str, upload: str) -> list[tuple[int, str, int]]:
        list_parts = partial(self.gateway.multipart.parts, EVERYONE, self.bucket, key, upload, limit=2)
        found: list[tuple[int, str, int]] = []
        while True:
            _, _, page, more = self.run(partial(list_parts, after=found[-1][0] if found else 0))
            found += [(part.number, part.etag, part.size) for part in page]
            if not more:
                return found

    def complete(self, key: str, upload: str, parts: Sequence[tuple[int, str]]) -> Written:
        wanted = [Wanted(number, etag) for number, etag in parts]
        done = self.run(lambda: self.gateway.multipart.complete(EVERYONE, self.bucket, key, upload, wanted, Expected()))
        return Written(done.etag, done.version_id)

    def abort(self, key: str, upload: str) -> None:
        self.run(lambda: self.gateway.multipart.abort(EVERYONE, self.bucket, key, upload))

    def list_keys(self, prefix: str, delimiter: str, after: str, limit: int, version: int) -> Page:
        _, page = self.run(
            lambda: self.gateway.buckets.list_objects(
                EVERYONE, self.bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit
            )
        )
        return [entry.key for entry in page.entries], page.prefixes, page.last is not None

    def walk_keys(self, prefix: str, delimiter: str, limit: int, version: int) -> tuple[list[str], list[str]]:
        list_objects = partial(
            self.gateway.buckets.list_objects, EVERYONE, self.bucket, prefix=prefix, delimiter=delimiter, limit=limit
        )
        keys: list[str] = []
        prefixes: list[str] = []
        after = ""
        while True:
            _, page = self.run(partial(list_objects, after=after))
            keys += [entry.key for entry in page.entries]
            prefixes += page.prefixes
            if page.last is None:
                return keys, prefixes
            after = page.last

    def list_versions(self, prefix: str, delimiter: str, after: str, after_id: str, limit: int) -> VersionPage:
        _, page = self.run(
            lambda: self.gateway.buckets.list_versions(
                EVERYONE,
                self.bucket,
                prefix=prefix,
                delimiter=delimiter,
                after=after,
                after_version=after_id,
                limit=limit,
            )
        )
        found = [(one.key, one.version_id, one.is_latest, one.is_delete_marker) for one in page.versions]
        return found, page.prefixes, page.last_key is not None

    def uploads(self) -> list[tuple[str, str]]:
        _, page = self.run(
            lambda: self.gateway.multipart.list(
                EVERYONE, self.bucket, prefix="", delimiter="", after="", after_id="", limit=1000
            )
        )
        return [(upload.key, upload.id) for upload in page.uploads]


# --- over HTTP -------------------------------------------------------------------------------------------------------


class Boto3Store:
    """A new bucket of a running server."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.bucket = f"stateful-{next(_numbers)}"
        self.call("create_bucket")

    def call(self, operation: str, **parameters: Any) -> Any:
        given = {name: value for name, value in parameters.items() if value is not None}
        try:
            return getattr(self._client, operation)(Bucket=self.bucket, **given)
        except ClientError as error:
            raise Refused(error.response["Error"]["Code"]) from error

    def close(self) -> None:
        self.call("delete_bucket")

    def keep(self, versioning: Versioning) -> None:
        self.call("put_bucket_versioning", VersioningConfiguration={"Status": versioning.value})

    def put(
        self,
        key: str,
        data: bytes,
        *,
        metadata: Labels,
        tags: Labels,
        if_match: str | None = None,
        if_none_match: bool = False,
        offset: int | None = None,
    ) -> Written:
        answer = self.call(
            "put_object",
            Key=key,
            Body=data,
            Metadata=dict(metadata),
            Tagging="&".join(f"{name}={value}" for name, value in tags.items()),
            IfMatch=if_match,
            IfNoneMatch="*" if if_none_match else None,
            WriteOffsetBytes=offset,
        )
        return _written(answer)

    def get(self, key: str, version_id: str = "", byte_range: tuple[int, int] | None = None) -> Found:
        version = version_id or None
        wanted = f"bytes={byte_range[0]}-{byte_range[1]}" if byte_range else None
        answer = self.call("get_object", Key=key, VersionId=version, Range=wanted)
        data = answer["Body"].read()
        assert answer["ContentLength"] == len(data)
        tags = self.call("get_object_tagging", Key=key, VersionId=version)["TagSet"]
        assert answer.get("TagCount", 0) == len(tags)
        return Found(data, answer["ETag"].strip('"'), answer["Metadata"], {tag["Key"]: tag["Value"] for tag in tags})

    def delete(self, key: str, version_id: str = "", if_match: str | None = None) -> tuple[str, bool]:
        answer = self.call("delete_object", Key=key, VersionId=version_id or None, IfMatch=if_match)
        return answer.get("VersionId", ""), answer.get("DeleteMarker", False)

    def delete_many(self, wanted: Sequence[tuple[str, str]]) -> list[tuple[str, bool]]:
        objects = [{"Key": key, **({"VersionId": version_id} if version_id else {})} for key, version_id in wanted]
        answer = self.call("delete_objects", Delete={"Objects": objects})
        assert "Errors" not in answer
        return [
            (done.get("DeleteMarkerVersionId", done.get("VersionId", "")), done.get("DeleteMarker", False))
            for done in answer["Deleted"]
        ]

    def copy(self, source: str, version_id: str, key: str, metadata: Labels | None) -> Written:
        origin = {"Bucket": self.bucket, "Key": source, **({"VersionId": version_id} if version_id else {})}
        answer = self.call(
            "copy_object",
            Key=key,
            CopySource=origin,
            MetadataDirective=None if metadata is None else "REPLACE",
            Metadata=None if metadata is None else dict(metadata),
        )
        return Written(answer["CopyObjectResult"]["ETag"].strip('"'), answer.get("VersionId", ""))

    def rename(self, source: str, key: str) -> None:
        self.call("rename_object", Key=key, RenameSource=quote(source))

    def tag(self, key: str, version_id: str, tags: Labels) -> None:
        tag_set = [{"Key": name, "Value": value} for name, value in tags.items()]
        self.call("put_object_tagging", Key=key, VersionId=version_id or None, Tagging={"TagSet": tag_set})

    def begin(self, key: str, metadata: Labels, tags: Labels) -> str:
        tagging = "&".join(f"{name}={value}" for name, value in tags.items())
        answer = self.call("create_multipart_upload", Key=key, Metadata=dict(metadata), Tagging=tagging)
        return str(answer["UploadId"])

    def part(self, key: str, upload: str, number: int, data: bytes) -> str:
        answer = self.call("upload_part", Key=key, UploadId=upload, PartNumber=number, Body=data)
        return str(answer["ETag"].strip('"'))

    def copy_part(self, key: str, upload: str, number: int, source: str, byte_range: tuple[int, int]) -> str:
        answer = self.call(
            "upload_part_copy",
            Key=key,
            UploadId=upload,
            PartNumber=number,
            CopySource={"Bucket": self.bucket, "Key": source},
            CopySourceRange=f"bytes={byte_range[0]}-{byte_range[1]}",
        )
        return str(answer["CopyPartResult"]["ETag"].strip('"'))

    def parts(self, key: str, upload: str) -> list[tuple[int, str, int]]:
        found: list[tuple[int, str, int]] = []
        answer: Any = {"IsTruncated": True, "NextPartNumberMarker": 0}
        while answer["IsTruncated"]:
            marker = answer["NextPartNumberMarker"]
            answer = self.call("list_parts", Key=key, UploadId=upload, MaxParts=2, PartNumberMarker=marker)
            found += [(part["PartNumber"], part["ETag"].strip('"'), part["Size"]) for part in answer.get("Parts", [])]
        return found

    def complete(self, key: str, upload: str, parts: Sequence[tuple[int, str]]) -> Written:
        listed = [{"PartNumber": number, "ETag": etag} for number, etag in parts]
        answer = self.call("complete_multipart_upload", Key=key, UploadId=upload, MultipartUpload={"Parts": listed})
        return _written(answer)

    def abort(self, key: str, upload: str) -> None:
        self.call("abort_multipart_upload", Key=key, UploadId=upload)

    def list_keys(self, prefix: str, delimiter: str, after: str, limit: int, version: int) -> Page:
        name, marker = ("list_objects_v2", "StartAfter") if version == 2 else ("list_objects", "Marker")
        answer = self.call(name, Prefix=prefix, Delimiter=delimiter, MaxKeys=limit, **{marker: after})
        return *_listed(answer), answer["IsTruncated"]

    def walk_keys(self, prefix: str, delimiter: str, limit: int, version: int) -> tuple[list[str], list[str]]:
        keys: list[str] = []
        prefixes: list[str] = []
        paginator = self._client.get_paginator("list_objects_v2" if version == 2 else "list_objects")
        for answer in paginator.paginate(
            Bucket=self.bucket, Prefix=prefix, Delimiter=delimiter, PaginationConfig={"PageSize": limit}
        ):
            found, groups = _listed(answer)
            keys += found
            prefixes += groups
        return keys, prefixes

    def list_versions(self, prefix: str, delimiter: str, after: str, after_id: str, limit: int) -> VersionPage:
        answer = self.call(
            "list_object_versions",
            Prefix=prefix,
            Delimiter=delimiter,
            KeyMarker=after,
            VersionIdMarker=after_id or None,
            MaxKeys=limit,
        )
        found = [
            (one["Key"], one["VersionId"], one["IsLatest"], kind == "DeleteMarkers")
            for kind in ("Versions", "DeleteMarkers")
            for one in answer.get(kind, [])
        ]
        return found, _listed(answer)[1], answer["IsTruncated"]

    def uploads(self) -> list[tuple[str, str]]:
        answer = self.call("list_multipart_uploads")
        return [(upload["Key"], upload["UploadId"]) for upload in answer.get("Uploads", [])]


def _written(answer: Any) -> Written:
    return Written(answer["ETag"].strip('"'), answer.get("VersionId", ""))


def _listed(answer: Any) -> tuple[list[str], list[str]]:
    keys = [entry["Key"] for entry in answer.get("Contents", [])]
    return keys, [group["Prefix"] for group in answer.get("CommonPrefixes", [])]
