"""Files in objects that are archives: reading one by its name, several by a pattern, and adding one."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.responses import Response

from tidegate import errors
from tidegate.ais import attributes
from tidegate.ais.bodies import open_body
from tidegate.ais.call import Call
from tidegate.ais.streams import Stream, unless_gone
from tidegate.asgi import begun
from tidegate.gateway.archives import Archive
from tidegate.gateway.matching import Mode, matcher

TAR = "application/x-tar"


def is_wanted(call: Call) -> bool:
    """Whether a GET is for what is in the object, not for the object. Raises ``InvalidArgument``."""
    query = call.request.query_params
    if query.get("archmode") and not query.get("archregx"):
        raise errors.InvalidArgument("archmode needs archregx")
    if query.get("archregx") and query.get("archpath"):
        raise errors.InvalidArgument("archpath and archregx cannot be used together")
    return bool(query.get("archpath") or query.get("archregx"))


async def get(call: Call, key: str) -> Response:
    """A file of the archive (``archpath``), or a tar archive of those that match (``archregx``)."""
    query = call.request.query_params
    mime = query.get("archmime", "")
    if name := query.get("archpath"):
        return await unless_gone(call.request, _file(call, key, name, mime))
    matches = matcher(query.get("archmode") or Mode.REGEXP, query["archregx"])
    tar = await call.gateway.archives.select(call.principal, call.bucket, key, matches, mime)
    return Stream(await unless_gone(call.request, begun(tar)), 200, [("content-type", TAR)])


async def _file(call: Call, key: str, name: str, mime: str) -> Response:
    archive = await call.gateway.archives.open(call.principal, call.bucket, key, mime)
    try:
        try:
            member = await archive.find(name)
        except errors.NoSuchMember:
            uri = f"{call.bucket.uri}/{key}"
            raise errors.NoSuchMember(f'the archive {uri} has no file "{name[:500]}"') from None
        headers = [("content-type", attributes.CONTENT_TYPE), ("content-length", str(member.size))]
        stream = _until_closed(member.open(0, member.size), archive)
        return Stream(await begun(stream), 200, headers)
    except BaseException:
        await archive.close()
        raise


async def _until_closed(pieces: AsyncGenerator[bytes, None], archive: Archive) -> AsyncGenerator[bytes, None]:
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece
    finally:
        await archive.close()


async def put(call: Call, key: str) -> Response:
    """Adds the file that is sent to an archive that is there."""
    query = call.request.query_params
    body = open_body(call.request)
    version = await call.gateway.archiving.add(
        call.principal, call.bucket, key, query["archpath"], body, query.get("archmime", "")
    )
    return attributes.respond(attributes.of_version(version, {"checksum", "version", "etag"}))
