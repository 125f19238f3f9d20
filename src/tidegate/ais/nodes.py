"""The one node that there is, as AIStore's clients see it: a proxy and a target, at the address they asked.

Pure functions. The ids derive from the system's own, so that all processes say the same for good.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import xxhash
from starlette.requests import Request

from tidegate import errors
from tidegate.gateway import Cluster

# AIStore's seed of the hash that places objects: clients compute with it which target has an object.
_SEED = 1103515245
_ID_LENGTH = 8
_DEFAULT_PORTS = {"http": 80, "https": 443}
# There is only ever this one map of the cluster.
MAP_VERSION = 1

Node = dict[str, object]


def proxy_id(cluster: Cluster) -> str:
    return "p" + cluster.uuid[:_ID_LENGTH]


def target_id(cluster: Cluster) -> str:
    return "t" + cluster.uuid[:_ID_LENGTH]


def address(request: Request) -> tuple[str, str, int]:
    """The URL under which the client reached this server, its host and its port. Raises ``InvalidURI``."""
    scheme = request.url.scheme
    url = f"{scheme}://{request.headers['host']}"
    try:
        parts = urlsplit(url)
        return url, parts.hostname or "", parts.port or _DEFAULT_PORTS[scheme]
    except ValueError:
        raise errors.InvalidURI from None


def node(node_id: str, kind: str, request: Request) -> Node:
    """A node of the map. ``kind`` is ``proxy`` or ``target``."""
    url, host, port = address(request)
    # "node_ip_addr" is what older clients read.
    net = {"node_hostname": host, "node_ip_addr": host, "daemon_port": str(port), "direct_url": url}
    return {
        "daemon_id": node_id,
        "daemon_type": kind,
        "public_net": net,
        "intra_control_net": net,
        "intra_data_net": net,
        "flags": 0,
        "id_digest": xxhash.xxh64_intdigest(node_id.encode(), _SEED),
    }


def proxy(cluster: Cluster, request: Request) -> Node:
    return node(proxy_id(cluster), "proxy", request)


def target(cluster: Cluster, request: Request) -> Node:
    return node(target_id(cluster), "target", request)


def location(cluster: Cluster, folder: str) -> str:
    """Where an object is, as AIStore writes it. ``folder`` is the name of a data folder."""
    return f"t[{target_id(cluster)}]:mp[{folder}]"
