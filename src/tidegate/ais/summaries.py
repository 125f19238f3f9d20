"""How much is in a bucket, in AIStore's two ways to ask: a message of its own, and HEAD with ``bsumm_remote``.

Clients expect a job: an answer 202 with its id, and the summary when they ask again with that id. Here there is nothing
to wait for, nor to remember: the id says what was asked, and the second request is answered by counting.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from http import HTTPStatus

import msgspec
from starlette.responses import Response

from tidegate import errors
from tidegate.ais.answers import as_json, identity
from tidegate.ais.call import Action, Call, decode_optional
from tidegate.gateway import Sizes
from tidegate.model import Bucket
from tidegate.names import BucketName

# What ids begin with, so that none is empty.
_ID = "summary-"


class SummaryMessage(msgspec.Struct, frozen=True):
    """With ``cached`` what a remote has is not counted, nor with ``present`` where many buckets are asked about.

    All that a bucket of ours has is both.
    """

    uuid: str = ""
    prefix: str = ""
    cached: bool = False
    present: bool = False


def id_of(prefix: str) -> str:
    """The id of a summary under a prefix. Raises ``InvalidArgument``."""
    try:
        return _ID + base64.urlsafe_b64encode(prefix.encode()).decode().rstrip("=")
    except UnicodeEncodeError:
        raise errors.InvalidArgument("names are UTF-8") from None


def prefix_of(summary_id: str) -> str:
    """The inverse of ``id_of``. Raises ``InvalidArgument``."""
    try:
        if not summary_id.startswith(_ID):
            raise ValueError
        text = summary_id.removeprefix(_ID)
        return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        raise errors.InvalidArgument(f'job "{summary_id}" does not exist') from None


async def summarise(call: Call, action: Action, buckets: Iterable[BucketName]) -> Response:
    """Answers the message, for one bucket or for many."""
    message = decode_optional(action.value, SummaryMessage) or SummaryMessage()
    wanted = id_of(message.prefix)
    if not message.uuid:
        for bucket in buckets:  # who may not ask is told so at once
            await call.gateway.buckets.get(call.principal, bucket, "s3:ListBucket")
        return Response(wanted, HTTPStatus.ACCEPTED, media_type="text/plain")
    if message.uuid != wanted:
        raise errors.InvalidArgument(f'job "{message.uuid}" does not exist')
    asked = list(buckets)
    counts_remote = not message.cached and (len(asked) == 1 or not message.present)
    found = [await summary(call, bucket, message.prefix, counts_remote=counts_remote) for bucket in asked]
    return as_json(found)


async def summary(call: Call, name: BucketName, prefix: str, *, counts_remote: bool) -> dict[str, object]:
    """The summary of a bucket. Counts all that is under the prefix; if it is wanted, also what another provider has."""
    bucket, sizes = await call.gateway.buckets.sizes(call.principal, name, prefix)
    there = await call.gateway.buckets.sizes_elsewhere(call.principal, name, prefix) if counts_remote else None
    return _shown(bucket, sizes, there, await call.gateway.system.room())


def _shown(bucket: Bucket, sizes: Sizes, there: Sizes | None, room: int) -> dict[str, object]:
    """Numbers of 64 bits are text, as AIStore has them."""
    on_disk = sizes.bytes * bucket.copies
    return {
        **identity(bucket.identity),
        "ObjCount": {"obj_count_present": str(sizes.objects), "obj_count_remote": str(there.objects if there else 0)},
        "ObjSize": {
            "obj_min_size": sizes.smallest,
            "obj_avg_size": sizes.bytes // sizes.objects if sizes.objects else 0,
            "obj_max_size": sizes.largest,
        },
        "TotalSize": {
            "size_on_disk": str(on_disk),
            "size_all_present_objs": str(sizes.bytes),
            "size_all_remote_objs": str(there.bytes if there else 0),
            "total_disks_size": str(room),
        },
        "used_pct": 100 * on_disk // room if room else 0,
        "is_present": True,
    }
