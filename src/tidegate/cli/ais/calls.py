"""The operations of the native API that the commands use, one function each.

Source: AIStore's REST API, as its Python SDK speaks it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec
from urllib3 import HTTPHeaderDict

from tidegate.cli.ais.client import bucket_path, object_path
from tidegate.cli.ais.shapes import Bucket, Job, Map, Page, Summary
from tidegate.cli.failures import Failure
from tidegate.cli.transport import MSGPACK, Body, Client
from tidegate.names import BucketName

BUCKETS: Final = "/v1/buckets"
CLUSTER: Final = "/v1/cluster"
DAEMON: Final = "/v1/daemon"

PROPERTIES_HEADER: Final = "Ais-Bucket-Props"
# A time as Go writes layouts: with its zone, so that it can be shown in ours.
RFC3339: Final = "2006-01-02T15:04:05Z07:00"

ACCEPTED: Final = 202
PARTIAL: Final = 206
# How often a job is asked about: soon at first, for most are short.
_POLL_SECONDS: Final = (0.05, 1.0)


def _query(bucket: BucketName, **more: str) -> dict[str, str]:
    query = {"provider": bucket.provider, **more}
    if bucket.namespace:
        query["namespace"] = f"@#{bucket.namespace}"
    return query


def full_name(bucket: BucketName, key: str = "") -> str:
    """A bucket, or an object of it, as it stands in queries: ``ais/@#/bucket/object``."""
    return f"{bucket.provider}/@#{bucket.namespace}/{bucket.name}/{key}"


def as_json(bucket: BucketName) -> dict[str, object]:
    """A bucket as it stands in messages."""
    return {
        "name": bucket.name,
        "provider": bucket.provider,
        "namespace": {"uuid": "", "name": bucket.namespace},
    }


# --- buckets ---------------------------------------------------------------------------------------------------------


def buckets(
    client: Client,
    provider: str = "",
    namespace: str = "",
    timeout: float | None = None,
    *,
    includes_outside: bool = False,
) -> list[BucketName]:
    """All buckets, or those of one provider and namespace: ours first, then by provider, namespace and name.

    With ``includes_outside`` also those that the provider has, and that are not known to the server yet.
    """
    query = {"provider": provider} if provider else {}
    if includes_outside:
        query["presence"] = "0"
    if namespace:
        query["namespace"] = f"@#{namespace}"
    answer = client.request("GET", BUCKETS, query=query, action={"action": "list"}, timeout=timeout)
    return sorted(
        (each.identity for each in client.decode(answer, list[Bucket])),
        key=lambda bucket: (bucket.is_remote, bucket.provider, bucket.namespace, bucket.name),
    )


def create(client: Client, bucket: BucketName, properties: Mapping[str, object], *, looks_up: bool = True) -> None:
    """Makes a bucket. ``properties`` are a partial tree. One of another provider is looked up there."""
    action = {"action": "create-bck", "value": properties or None}
    query = _query(bucket, **({} if looks_up else {"dont_head_remote_bck": "true"}))
    client.request("POST", bucket_path(bucket.name), query=query, action=action)


def destroy(client: Client, bucket: BucketName) -> None:
    """Removes a bucket and all that is in it."""
    client.request("DELETE", bucket_path(bucket.name), query=_query(bucket), action={"action": "destroy-bck"})


def evict(client: Client, bucket: BucketName, *, keeps_properties: bool) -> None:
    """Drops what is here of another provider's bucket."""
    query = _query(bucket, keep_bck_md=str(keeps_properties))
    client.request("DELETE", bucket_path(bucket.name), query=query, action={"action": "evict-remote-bck"})


def properties(client: Client, bucket: BucketName) -> dict[str, object]:
    """A bucket's tree of properties."""
    answer = client.request("HEAD", bucket_path(bucket.name), query=_query(bucket))
    try:
        return msgspec.json.decode(answer.headers.get(PROPERTIES_HEADER, ""), type=dict[str, object])
    except msgspec.MsgspecError:
        raise Failure(f"{client.endpoint} did not send the properties of {bucket.uri}") from None


def set_properties(client: Client, bucket: BucketName, changes: Mapping[str, object]) -> str:
    """Changes properties, given as a partial tree. The id of the job that this starts, if any."""
    action = {"action": "set-bprops", "value": changes}
    return _text(client.request("PATCH", bucket_path(bucket.name), query=_query(bucket), action=action).data)


def reset_properties(client: Client, bucket: BucketName) -> None:
    """Gives a bucket the properties of a new one."""
    action = {"action": "reset-bprops"}
    client.request("PATCH", bucket_path(bucket.name), query=_query(bucket), action=action)


def pages(
    client: Client,
    bucket: BucketName,
    *,
    prefix: str = "",
    start_after: str = "",
    props: str = "",
    flags: int = 0,
    page_size: int = 0,
) -> Iterator[Page]:
    """A bucket's objects by name, page by page, each fetched when it is asked for."""
    page = Page()
    while True:
        value = {
            "prefix": prefix,
            "pagesize": page_size,
            "uuid": page.uuid,
            "props": props,
            "continuation_token": page.token,
            "flags": str(flags),
            "start_after": "" if page.token else start_after,
            "time_format": RFC3339,
        }
        answer = client.request(
            "GET",
            bucket_path(bucket.name),
            query=_query(bucket),
            action={"action": "list", "value": value},
            headers={"Accept": MSGPACK},
        )
        page = client.decode(answer, Page)
        yield page
        if not page.token:
            return


def summaries(client: Client, bucket: BucketName | None, provider: str = "", prefix: str = "") -> list[Summary]:
    """A bucket summed up, or all of a provider's, or all."""
    path = bucket_path(bucket.name) if bucket else BUCKETS
    query = _query(bucket) if bucket else {"provider": provider} if provider else {}
    value: dict[str, object] = {"uuid": "", "prefix": prefix, "cached": False, "present": True}
    for pause in _pauses():
        answer = client.request("GET", path, query=query, action={"action": "summary-bck", "value": value})
        if answer.status == ACCEPTED and not value["uuid"]:
            value["uuid"] = _text(answer.data)
        elif answer.status not in {ACCEPTED, PARTIAL}:
            return client.decode(answer, list[Summary])
        time.sleep(pause)
    raise AssertionError


def act(
    client: Client,
    method: str,
    bucket: BucketName,
    action: str,
    value: object = None,
    to: BucketName | None = None,
) -> str:
    """Starts a job on a bucket; its id, or ids with commas between them."""
    query = _query(bucket, **({"bck_to": full_name(to)} if to else {}))
    message = {"action": action, "value": value}
    return _text(client.request(method, bucket_path(bucket.name), query=query, action=message).data)


# --- objects ---------------------------------------------------------------------------------------------------------


def head(client: Client, bucket: BucketName, key: str) -> HTTPHeaderDict:
    """The headers that tell of an object."""
    return client.request("HEAD", object_path(bucket.name, key), query=_query(bucket)).headers


def put(
    client: Client,
    bucket: BucketName,
    key: str,
    body: Body,
    headers: Mapping[str, str],
    query: Mapping[str, str] | None = None,
) -> Mapping[str, str]:
    """Writes an object. The answer's headers."""
    return client.request(
        "PUT", object_path(bucket.name, key), query=_query(bucket, **(query or {})), body=body, headers=headers
    ).headers


def delete(client: Client, bucket: BucketName, key: str) -> None:
    """Deletes an object."""
    client.request("DELETE", object_path(bucket.name, key), query=_query(bucket))


def copy(client: Client, bucket: BucketName, key: str, to: BucketName, to_key: str) -> None:
    """Copies an object, on the server."""
    client.request("PUT", object_path(bucket.name, key), query=_query(bucket, object_to=full_name(to, to_key)))


def rename(client: Client, bucket: BucketName, key: str, to: str) -> None:
    """Gives an object another name in its bucket."""
    action = {"action": "rename-obj", "name": to}
    client.request("POST", object_path(bucket.name, key), query=_query(bucket), action=action)


def set_custom(client: Client, bucket: BucketName, key: str, values: Mapping[str, str], *, replaces: bool) -> None:
    """Sets an object's custom metadata: beside what there is, or instead of it."""
    query = _query(bucket, **({"set-new-custom": "true"} if replaces else {}))
    client.request("PATCH", object_path(bucket.name, key), query=query, action={"action": "", "value": values})


def object_query(bucket: BucketName, **more: str) -> dict[str, str]:
    """The query of a request for an object."""
    return _query(bucket, **more)


# --- the system ------------------------------------------------------------------------------------------------------


def configuration(client: Client) -> dict[str, object]:
    """The tree of the configuration."""
    answer = client.request("GET", CLUSTER, query={"what": "cluster_config"})
    return client.decode(answer, dict[str, object])


class _Restart(msgspec.Struct):
    """What Tidegate answers to a change; AIStore says nothing."""

    restart: list[str] = []


def set_configuration(client: Client, changes: Mapping[str, object]) -> list[str]:
    """Changes the configuration, given as a partial tree. What takes effect when the server starts again."""
    answer = client.request("PUT", CLUSTER, action={"action": "set-config", "value": changes})
    return client.decode(answer, _Restart).restart if answer.data else []


def reset_configuration(client: Client) -> list[str]:
    """Back to the defaults. What takes effect when the server starts again."""
    answer = client.request("PUT", CLUSTER, action={"action": "reset-config"})
    return client.decode(answer, _Restart).restart if answer.data else []


def cluster_map(client: Client) -> Map:
    """Who makes up the cluster."""
    return client.decode(client.request("GET", DAEMON, query={"what": "smap"}), Map)


# --- jobs ------------------------------------------------------------------------------------------------------------


def _job_arguments(id: str, kind: str, bucket: BucketName | None) -> dict[str, object]:
    return {"ID": id, "Kind": kind, "DaemonID": "", "Bck": as_json(bucket) if bucket else None, "Buckets": None}


def start_job(client: Client, kind: str, bucket: BucketName | None) -> str:
    """Starts a job; its id."""
    action = {"action": "start", "value": _job_arguments("", kind, bucket)}
    return _text(client.request("PUT", CLUSTER, action=action).data)


def stop_job(client: Client, id: str = "", kind: str = "", bucket: BucketName | None = None) -> None:
    """Stops a job, or all of a kind."""
    client.request("PUT", CLUSTER, action={"action": "stop", "value": _job_arguments(id, kind, bucket)})


def jobs(client: Client, id: str = "", kind: str = "", timeout: float | None = None) -> list[tuple[str, Job]]:
    """Jobs that run and that are over, with the node that they are on, oldest first."""
    wanted = _job_arguments(id, kind, None)
    answer = client.request("GET", CLUSTER, query={"what": "qryxstats"}, action=wanted, timeout=timeout)
    return sorted(
        ((node, job) for node, jobs in client.decode(answer, dict[str, list[Job]]).items() for job in jobs),
        key=lambda pair: (pair[1].start, pair[1].id),
    )


def wait(client: Client, id: str, timeout: float | None = None, watch: Callable[[Job], None] | None = None) -> Job:
    """Waits until a job is over; the job as it ended. ``watch`` sees it on the way.

    Raises ``Failure`` where there is no such job, or it takes longer than ``timeout`` seconds.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    for pause in _pauses():
        found = [job for _, job in jobs(client, id)]
        if not found:
            raise Failure(f'job "{id}" not found', "to list jobs: ais show job --all")
        if watch:
            watch(found[0])
        running = [job for job in found if not job.is_over]
        if not running:
            return next((job for job in found if job.aborted or job.error), found[0])
        if deadline is not None and time.monotonic() > deadline:
            raise Failure(
                f'timed out waiting for job "{id}"', f"it still runs; to see how far it is: ais show job {id}"
            )
        time.sleep(pause)
    raise AssertionError


def _pauses() -> Iterator[float]:
    pause, longest = _POLL_SECONDS
    while True:
        yield pause
        pause = min(2 * pause, longest)


def _text(data: bytes) -> str:
    """An answer that is a mere text, such as a job's id."""
    return data.decode("utf-8", "replace").strip().strip('"')
