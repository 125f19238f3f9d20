"""What AIStore does and this system does not: refused by name, with a sentence that says so. Never ignored."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from tidegate import errors
from tidegate.ais.call import Call

if TYPE_CHECKING:
    from tidegate.ais.app import Handler

ETL: Final = "Transforming objects (ETL) is not implemented."
INVENTORIES: Final = "Inventories of buckets are not implemented: a listing costs what it shows."
_DSORT: Final = "Sorting archives anew (dSort) is not implemented."
_DOWNLOADER: Final = "Downloading from the web into a bucket is not implemented."

# By the kind of job, or the action that would start it.
_ABSENT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "rebalance": "Rebalancing is not implemented: there is one node, and nothing to move between nodes.",
        "resilver": "Resilvering is not implemented: copies are brought where they belong without being asked to.",
        "ec-encode": "Erasure coding is not implemented: mirror a bucket instead (mirror.copies).",
        "etl-bck": ETL,
        "etl-listrange": ETL,
        "etl-inline": ETL,
        "dsort": _DSORT,
        "download": _DOWNLOADER,
        "blob-download": "Downloading blobs is not implemented.",
        "rechunk": "Chunking objects anew is not implemented: their bytes stay as they were written.",
        "create-inventory": INVENTORIES,
        "destroy-inventory": INVENTORIES,
        "show-inventory": INVENTORIES,
        "index-shard": "Indexes of archives are not implemented.",
        "load-lom-cache": "There is no cache of metadata to warm up.",
    }
)
# Services of their own, by the path below ``/v1``.
_SERVICES: Final[Mapping[str, str]] = MappingProxyType({"sort": _DSORT, "etl": ETL, "download": _DOWNLOADER})


def refusal(name: str) -> errors.NotImplementedByServer | None:
    """The error for a kind of job or an action; None for one that AIStore has not either."""
    sentence = _ABSENT.get(name)
    return None if sentence is None else errors.NotImplementedByServer(sentence)


async def absent_service(call: Call) -> Response:
    """A service of AIStore's that this system does not have."""
    raise errors.NotImplementedByServer(_SERVICES[call.request.url.path.split("/")[2]])


ROUTES: tuple[tuple[str, str, Handler], ...] = tuple(
    (method, path, absent_service)
    for service in _SERVICES
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    for path in (f"/v1/{service}", f"/v1/{service}/{{rest:path}}")
)
