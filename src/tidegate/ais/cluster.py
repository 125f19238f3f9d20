"""The system as a whole: its map, its configuration, its health.

There is one node, which is a proxy and a target. It tells who may see the cluster how full its disks are and what it is
set to; no secret, and of a data folder no more than its name.

``PUT /v1/cluster`` with the action ``set-config`` (``value``: a partial tree, or flat names), or with ``reset-config``,
and ``PUT /v1/cluster/set-config?checksum.type=md5`` answer 200 with JSON: ``{"restart": ["net.http.use_https"]}`` names
the properties that have changed and take effect when the server starts again; mostly there are none.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from tidegate import __version__, errors
from tidegate.ais import authn, gotime, nodes, work
from tidegate.ais.answers import as_json
from tidegate.ais.buckets import every_bucket, properties
from tidegate.ais.call import Action, Call, Properties, decode
from tidegate.asgi import OPERATION
from tidegate.gateway.configuration import Changed
from tidegate.gateway.space import Disk
from tidegate.gateway.system import Status
from tidegate.properties import present

if TYPE_CHECKING:
    from tidegate.ais.app import Handler
    from tidegate.ais.work import Act

Query = Callable[[Call], Awaitable[Response]]

_STARTED = time.monotonic_ns()
NODE_HEADER = "Ais-Node-Id"
_TRANSIENT = "transient"
# A catalog that takes longer is not ready.
READY_SECONDS = 2.0


# --- what there is to know ------------------------------------------------------------------------------------------


async def show_map(call: Call) -> Response:
    """The map of the cluster: this server, as a proxy and as a target."""
    cluster = await call.gateway.system.cluster(call.principal)
    proxy, target = nodes.proxy(cluster, call.request), nodes.target(cluster, call.request)
    return as_json(
        {
            "pmap": {proxy["daemon_id"]: proxy},
            "tmap": {target["daemon_id"]: target},
            "proxy_si": proxy,
            "uuid": cluster.uuid,
            "creation_time": _utc(cluster.created),
            "version": str(nodes.MAP_VERSION),
        }
    )


async def show_buckets(call: Call) -> Response:
    """The buckets that the caller may list with their properties, by provider and namespace."""
    cluster = await call.gateway.system.cluster(call.principal)
    providers: dict[str, dict[str, dict[str, object]]] = {}
    async for bucket in every_bucket(call):
        namespace = f"#{bucket.namespace}" if bucket.namespace else ""
        providers.setdefault(bucket.provider, {}).setdefault(namespace, {})[bucket.name] = properties(bucket)
    return as_json({"uuid": cluster.uuid, "version": str(nodes.MAP_VERSION), "providers": providers, "ext": None})


async def show_configuration(call: Call) -> Response:
    """The configuration in force, defaults included."""
    return as_json(present(await call.gateway.configuration.get(call.principal)))


async def show_node(call: Call) -> Response:
    """This node, as the map has it."""
    return as_json(nodes.proxy(await call.gateway.system.cluster(call.principal), call.request))


async def show_node_status(call: Call) -> Response:
    """How this node is, and what is stored on it."""
    cluster = await call.gateway.system.cluster(call.principal)
    return as_json(_status(nodes.target(cluster, call.request), await call.gateway.system.status(call.principal)))


async def show_system(call: Call) -> Response:
    """Memory and load of the machine."""
    return as_json(_machine(await call.gateway.system.status(call.principal)))


async def show_mountpaths(call: Call) -> Response:
    """The names of the data folders."""
    status = await call.gateway.system.status(call.principal)
    return as_json({"available": [disk.name for disk in status.disks], "waiting_dd": [], "disabled": []})


async def show_all_statuses(call: Call) -> Response:
    """The status of each node."""
    cluster = await call.gateway.system.cluster(call.principal)
    status = await call.gateway.system.status(call.principal)
    proxy, target = nodes.proxy(cluster, call.request), nodes.target(cluster, call.request)
    return as_json({"proxy": _status(proxy, status), "target": {nodes.target_id(cluster): _status(target, status)}})


async def show_all_systems(call: Call) -> Response:
    """Memory and load of each node's machine, and the target's room."""
    cluster = await call.gateway.system.cluster(call.principal)
    status = await call.gateway.system.status(call.principal)
    machine = _machine(status)
    return as_json(
        {
            "proxy": {nodes.proxy_id(cluster): machine},
            "target": {nodes.target_id(cluster): {**machine, "capacity": _capacity(status.disks)}},
        }
    )


async def show_remote_clusters(call: Call) -> Response:
    """The other clusters that are attached: there are none."""
    await call.gateway.system.cluster(call.principal)
    return as_json({"a": [], "ver": "0"})


async def show_backends(call: Call) -> Response:
    """The other providers whose buckets can be read and written: none yet."""
    await call.gateway.system.cluster(call.principal)
    return as_json([])


async def show_target_addresses(call: Call) -> Response:
    """The targets' hosts, as text."""
    await call.gateway.system.cluster(call.principal)
    return Response(nodes.address(call.request)[1], media_type="text/plain")


_DAEMON: Final[Mapping[str, Query]] = MappingProxyType(
    {
        "": authn.show_configuration,
        "smap": show_map,
        "bmd": show_buckets,
        "config": show_configuration,
        "cluster_config": show_configuration,
        "snode": show_node,
        "status": show_node_status,
        "node_status": show_node_status,
        "node_stats": show_node_status,
        "sysinfo": show_system,
        "mountpaths": show_mountpaths,
    }
)
_CLUSTER: Final[Mapping[str, Query]] = MappingProxyType(
    {
        "smap": show_map,
        "bmd": show_buckets,
        "cluster_config": show_configuration,
        "node_stats": show_all_statuses,
        "sysinfo": show_all_systems,
        "remote": show_remote_clusters,
        "backends": show_backends,
        "target_ips": show_target_addresses,
    }
)


async def daemon(call: Call) -> Response:
    """``GET /v1/daemon``: whatever ``what`` says is to be known of this node."""
    return await _ask(call, _DAEMON)


async def cluster(call: Call) -> Response:
    """``GET /v1/cluster``: the same of the whole cluster, and of its jobs."""
    return await _ask(call, _CLUSTER, work.CLUSTER_QUERIES)


async def reverse_daemon(call: Call) -> Response:
    """``GET /v1/reverse/daemon``: the same of the node that a header names."""
    known = await call.gateway.system.identify()
    node = call.request.headers.get(NODE_HEADER, "")
    if node not in {nodes.proxy_id(known), nodes.target_id(known)}:
        raise errors.NoSuchNode(f'node "{node}" does not exist')
    return await _ask(call, _DAEMON)


async def _ask(call: Call, *queries: Mapping[str, Query]) -> Response:
    what = call.request.query_params.get("what", "")
    query = next((known[what] for known in queries if what in known), None)
    if query is None:
        raise errors.NotImplementedByServer(f"{call.request.url.path}?what={what} is not implemented")
    call.request.scope[OPERATION] = f"ais.{query.__name__}"
    return await query(call)


async def health(call: Call) -> Response:
    """Whether this process answers; with ``readiness`` or ``prr`` also whether it can read and write its catalog."""
    if call.has_set("readiness") or call.has_set("prr"):
        try:
            async with asyncio.timeout(READY_SECONDS):
                await call.gateway.check()
        except Exception as error:
            raise errors.ServiceUnavailable("The catalog cannot be read and written.") from error
    uptime = str(time.monotonic_ns() - _STARTED)
    return Response(headers={"Ais-Cluster-Uptime": uptime, "Ais-Node-Uptime": uptime})


# --- what there is to change ----------------------------------------------------------------------------------------


async def set_configuration(call: Call, action: Action) -> Response:
    """Changes the configuration. The answer says what waits for a restart: see the top of this module."""
    return await _set(call, decode(action.value, Properties))


async def reset_configuration(call: Call, action: Action) -> Response:
    """Brings the configuration back to its defaults. Answers as ``set_configuration``."""
    del action
    _refuse_transient(call)
    return _changed(await call.gateway.configuration.reset(call.principal))


async def set_configuration_by_query(call: Call) -> Response:
    """The same with properties in the query."""
    changes: dict[str, object] = dict(call.request.query_params)
    changes.pop(_TRANSIENT, None)
    return await _set(call, changes)


async def change_cluster(call: Call) -> Response:
    """``PUT /v1/cluster``: whatever the action message says."""
    action = await call.action()
    act = _ACTIONS.get(action.action) or work.CLUSTER_ACTIONS.get(action.action)
    if act is None:
        raise errors.NotImplementedByServer(f'The action "{action.action}" on a cluster is not implemented.')
    call.request.scope[OPERATION] = f"ais.{act.__name__}"
    return await act(call, action)


async def _set(call: Call, changes: Mapping[str, object]) -> Response:
    _refuse_transient(call)
    return _changed(await call.gateway.configuration.set(call.principal, changes))


def _changed(changed: Changed) -> Response:
    return as_json({"restart": changed.restart})


def _refuse_transient(call: Call) -> None:
    if call.has_set(_TRANSIENT):
        raise errors.NotImplementedByServer("A change of the configuration that is forgotten is not implemented.")


_ACTIONS: Final[Mapping[str, Act]] = MappingProxyType(
    {"set-config": set_configuration, "reset-config": reset_configuration}
)


# --- how it is shown ------------------------------------------------------------------------------------------------


def _status(node: nodes.Node, status: Status) -> dict[str, object]:
    return {
        "snode": node,
        "status": "online",
        "ais_version": f"tidegate {__version__}",
        "deployment": "tidegate",
        "smap_version": str(nodes.MAP_VERSION),
        "capacity": _capacity(status.disks),
        "sys_info": _machine(status),
        "tracker": {
            "up.ns.time": {"v": str(time.monotonic_ns() - _STARTED)},
            "buckets": {"v": str(status.buckets)},
            "objects": {"v": str(status.objects)},
            "bytes": {"v": str(status.bytes)},
        },
    }


def _machine(status: Status) -> dict[str, object]:
    used = status.memory - status.memory_free
    return {
        "mem_used": str(used),
        "mem_avail": str(status.memory_free),
        "pct_mem_used": 100 * used / status.memory if status.memory else 0.0,
        "load_avg": {"one": status.load},
    }


def _capacity(disks: Sequence[Disk]) -> dict[str, object]:
    """Room on the disks, by data folder. Folders of one name are told apart by a number."""
    paths: dict[str, object] = {}
    used_percent = []
    for disk in disks:
        number = 1
        while (name := disk.name if number == 1 else f"{disk.name}-{number}") in paths:
            number += 1
        percent = 100 * disk.used // (disk.used + disk.free or 1)
        used_percent.append(percent)
        paths[name] = {"used": str(disk.used), "avail": str(disk.free), "pct_used": percent}
    single = {disk.device: disk for disk in disks}.values()
    return {
        "mountpaths": paths,
        "pct_max": max(used_percent, default=0),
        "pct_min": min(used_percent, default=0),
        "pct_avg": sum(used_percent) // (len(used_percent) or 1),
        "total": {
            "used": str(sum(disk.used for disk in single)),
            "avail": str(sum(disk.free for disk in single)),
        },
    }


def _utc(microseconds: int) -> str:
    return gotime.write("2006-01-02 15:04:05.000", microseconds)


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/v1/health", health),
    ("GET", "/v1/daemon", daemon),
    ("GET", "/v1/cluster", cluster),
    ("GET", "/v1/reverse/daemon", reverse_daemon),
    ("PUT", "/v1/cluster", change_cluster),
    ("PUT", "/v1/cluster/set-config", set_configuration_by_query),
)
