"""The system as a whole, as AIStore's clients see it: map, configuration, health, and what it does not have."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
import xxhash
from aistore.sdk import Bucket, Client
from aistore.sdk.enums import NodeFilter
from aistore.sdk.errors import AISError
from aistore.sdk.utils import get_digest

from tests.ais.conftest import MakeBucket
from tidegate import errors
from tidegate.access import CLUSTER_READ_ONLY, READ_ONLY, Access, Grants
from tidegate.gateway import Gateway, open_gateway
from tidegate.model import ANONYMOUS, EVERYONE, Principal
from tidegate.names import BucketName
from tidegate.testing import Server

Ask = Callable[..., requests.Response]
Configure = Callable[..., requests.Response]


@pytest.fixture
def ask(server: Server, http: requests.Session) -> Ask:
    """``ask("daemon", "smap")``."""

    def get(service: str, what: str, **headers: str) -> requests.Response:
        return http.get(f"{server.url}/v1/{service}", params={"what": what}, headers=headers)

    return get


@pytest.fixture
def configure(server: Server, http: requests.Session) -> Iterator[Configure]:
    """Sends an action about the configuration; in the end it is what it was."""

    def put(action: str, value: Any = None, **query: str) -> requests.Response:
        return http.put(f"{server.url}/v1/cluster", params=query, json={"action": action, "value": value})

    yield put
    assert put("reset-config").status_code == 200


# --- the map ---------------------------------------------------------------------------------------------------------


def test_the_map_is_one_proxy_and_one_target(client: Client, server: Server) -> None:
    """Both are at the address that the client asked, and the proxy is the primary."""
    info = client.cluster().get_info()
    (proxy,), (target,) = info.pmap.values(), info.tmap.values()
    assert info.proxy_si == proxy
    assert (proxy.daemon_type, target.daemon_type) == ("proxy", "target")
    assert proxy.public_net.direct_url == target.public_net.direct_url == server.url
    assert target.public_net.daemon_port == str(server.port)
    assert client.cluster().get_primary_url() == server.url
    assert client.cluster().is_ready()
    assert info.version == 1
    assert info.creation_time


def test_the_address_is_the_one_that_was_asked(server: Server, http: requests.Session) -> None:
    """A client that knows the server by another name is told that name."""
    for host, name, port in (("tide.example:81", "tide.example", "81"), ("[::1]:82", "::1", "82"), ("a", "a", "80")):
        answer = http.get(f"{server.url}/v1/daemon?what=smap", headers={"Host": host})
        net = answer.json()["proxy_si"]["public_net"]
        assert (net["direct_url"], net["node_hostname"], net["daemon_port"]) == (f"http://{host}", name, port)
    assert http.get(f"{server.url}/v1/daemon?what=smap", headers={"Host": "a:99999"}).status_code == 400


def test_clients_may_go_to_the_target_directly(client: Client, bucket: Bucket) -> None:
    """The digests of nodes are right, so that the SDK's direct reads find an object's target."""
    info = client.cluster().get_info()
    for node in (*info.pmap.values(), *info.tmap.values()):
        assert (
            node.id_digest == xxhash.xxh64_intdigest(node.daemon_id.encode(), 1103515245) == get_digest(node.daemon_id)
        )
    bucket.object("key").get_writer().put_content(b"bytes")
    assert bucket.object("key").get_reader(direct=True).read_all() == b"bytes"


def test_a_system_keeps_its_id(tmp_path: Path) -> None:
    """Processes that ask at the same time hear the same id, and hear it again later; another system has another."""

    async def ids(folder: Path) -> set[str]:
        gateways = [open_gateway(folder, inline_limit=1000) for _ in range(3)]
        found = await asyncio.gather(*(gateway.system.identify() for gateway in gateways))
        for gateway in gateways:
            await gateway.close()
        return {cluster.uuid for cluster in found}

    first = asyncio.run(ids(tmp_path / "one"))
    assert len(first) == 1
    assert asyncio.run(ids(tmp_path / "one")) == first
    assert asyncio.run(ids(tmp_path / "two")).isdisjoint(first)


# --- what is told ----------------------------------------------------------------------------------------------------


def test_performance_is_told_by_target(client: Client, make_bucket: MakeBucket, s3: Any) -> None:
    """The SDK's get_performance has the state of the one target, with what is stored and the room on its disk."""
    s3.put_object(Bucket=make_bucket().name, Key="key", Body=b"bytes")
    (target,) = client.cluster().get_info().tmap
    (status,) = client.cluster().get_performance().values()
    assert (status["snode"]["daemon_id"], status["status"]) == (target, "online")
    assert int(status["tracker"]["objects"]["v"]) >= 1
    assert int(status["tracker"]["bytes"]["v"]) >= 5
    (disk,) = status["capacity"]["mountpaths"].values()
    assert 0 <= disk["pct_used"] <= 100
    assert int(status["capacity"]["total"]["avail"]) > 0


def test_nodes_are_known_by_their_ids(client: Client, ask: Ask) -> None:
    """What is asked of a node through another has to name one that there is."""
    info = client.cluster().get_info()
    for node in (*info.pmap, *info.tmap):
        assert ask("reverse/daemon", "node_status", **{"Ais-Node-Id": node}).status_code == 200
    assert ask("reverse/daemon", "node_status", **{"Ais-Node-Id": "other"}).status_code == 404
    assert ask("reverse/daemon", "node_status").status_code == 404


def test_logs_are_not_shown(client: Client) -> None:
    """A node's log is for who runs it: the SDK is told so at once."""
    with pytest.raises(AISError, match="what=log is not implemented") as caught:
        client.cluster().get_cluster_logs(role=NodeFilter.ALL)
    assert caught.value.status_code == 501


@pytest.mark.parametrize(
    ("service", "what"),
    [
        *(
            ("daemon", what)
            for what in (
                "smap", "bmd", "config", "cluster_config", "snode", "status", "node_status", "sysinfo", "mountpaths",
            )
        ),
        *(
            ("cluster", what)
            for what in ("smap", "bmd", "cluster_config", "node_stats", "sysinfo", "remote", "backends", "target_ips")
        ),
    ],
)  # fmt: skip
def test_nothing_tells_a_path_or_a_secret(server: Server, ask: Ask, service: str, what: str) -> None:
    """Whatever is asked is answered, and of the data folder no more than its name is in it."""
    answer = ask(service, what)
    assert answer.status_code == 200
    assert str(server.data.parent) not in answer.text
    assert "secret" not in answer.text
    if what != "target_ips":
        assert answer.headers["content-type"] == "application/json"


def test_buckets_are_told_with_their_properties(ask: Ask, bucket: Bucket) -> None:
    """The cluster's bucket metadata has each bucket as HEAD tells it, by provider and namespace."""
    told = ask("daemon", "bmd").json()
    assert told["providers"]["ais"][""][bucket.name] == json.loads(bucket.head()["Ais-Bucket-Props"])


@pytest.mark.parametrize(("service", "what"), [("daemon", "metrics"), ("cluster", "nothing"), ("cluster", "")])
def test_what_is_not_told_is_said(ask: Ask, service: str, what: str) -> None:
    """A question that has no answer here is a clear 501."""
    answer = ask(service, what)
    assert answer.status_code == 501
    assert f"what={what} is not implemented" in answer.json()["message"]


def test_health_is_for_everybody(ask: Ask, server: Server, http: requests.Session) -> None:
    """The server is alive, and ready when it can read and write."""
    for query in ("", "?prr=true", "?readiness=true"):
        answer = http.get(f"{server.url}/v1/health{query}")
        assert (answer.status_code, answer.content) == (200, b"")
        assert int(answer.headers["Ais-Cluster-Uptime"]) > 0
        assert int(answer.headers["Ais-Node-Uptime"]) > 0


@pytest.mark.parametrize("path", ["sort", "sort/abort", "etl", "etl/x/logs", "download", "download/abort"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_services_that_are_not_there_say_so(server: Server, http: requests.Session, method: str, path: str) -> None:
    """dSort, ETL and the downloader answer 501 with a sentence."""
    answer = http.request(method, f"{server.url}/v1/{path}", json={})
    assert answer.status_code == 501
    assert answer.json()["tcode"] == "ErrNotImpl"
    assert answer.json()["message"].endswith("is not implemented.")


def test_the_sdk_is_told_too(client: Client) -> None:
    """The SDK's lists of ETLs and sorts end in one clear error, not in retries."""
    with pytest.raises(AISError, match=r"\(ETL\) is not implemented"):
        client.cluster().list_etls()
    with pytest.raises(AISError, match=r"\(dSort\) is not implemented"):
        client.dsort("id").get_job_info()


# --- configuration ---------------------------------------------------------------------------------------------------


def test_new_buckets_begin_with_the_configuration(configure: Configure, make_bucket: MakeBucket, s3: Any) -> None:
    """A change is seen by buckets that are made after it, through either door, and by no other."""

    def kind(bucket: Bucket) -> str:
        return json.loads(bucket.head()["Ais-Bucket-Props"])["checksum"]["type"]

    before = make_bucket()
    answer = configure("set-config", {"checksum": {"type": "sha256"}})
    assert (answer.status_code, answer.json()) == (200, {"restart": []})
    after = make_bucket()
    assert (kind(before), kind(after)) == ("xxhash", "sha256")
    name = f"s3-{after.name}"
    s3.create_bucket(Bucket=name)
    assert kind(Bucket(name, after.client)) == "sha256"
    assert configure("reset-config").json() == {"restart": []}
    assert kind(make_bucket()) == "xxhash"


def test_the_configuration_is_set_by_query_too(
    configure: Configure, server: Server, http: requests.Session, ask: Ask
) -> None:
    """Properties in the query of a path of its own are the same change."""
    answer = http.put(f"{server.url}/v1/cluster/set-config", params={"checksum.type": "md5", "mirror.copies": "3"})
    assert (answer.status_code, answer.json()) == (200, {"restart": []})
    told = ask("cluster", "cluster_config").json()
    assert (told["checksum"]["type"], told["mirror"]["copies"]) == ("md5", 3)


def test_what_waits_for_a_restart_is_named(configure: Configure) -> None:
    """A change of what a server reads once is taken, and the answer names it."""
    assert configure("set-config", {"net": {"http": {"server_crt": "other.crt"}}}).json() == {
        "restart": ["net.http.server_crt"]
    }
    assert configure("set-config", {"net.http.server_crt": "other.crt"}).json() == {"restart": []}
    assert configure("reset-config").json() == {"restart": ["net.http.server_crt"]}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"checksum": {"type": "md4"}}, "md4"),
        ({"checksum.typo": "md5"}, 'unknown property "checksum.typo"'),
        ({"space": {"lowwm": 99}}, "must ascend"),
        ({"ec.enabled": True}, "erasure coding is not implemented"),
        ({"net.http.use_https": True}, "no certificate"),
        ({"mirror.enabled": True, "mirror.copies": 9}, "each copy needs a data folder of its own (1 here)"),
        ("checksum.type=md5", "object"),
    ],
    ids=["value", "name", "together", "ec", "https", "copies", "text"],
)
def test_a_wrong_configuration_changes_nothing(configure: Configure, ask: Ask, value: object, said: str) -> None:
    """What cannot be set is a client's error that says why."""
    before = ask("cluster", "cluster_config").json()
    answer = configure("set-config", value)
    assert answer.status_code == 400
    assert said in answer.json()["message"]
    assert ask("cluster", "cluster_config").json() == before


def test_a_change_is_not_forgotten(configure: Configure, ask: Ask) -> None:
    """A change that should last until the next start only is refused, rather than kept."""
    before = ask("cluster", "cluster_config").json()
    assert configure("set-config", {"checksum.type": "md5"}, transient="true").status_code == 501
    assert configure("reset-config", transient="true").status_code == 501
    assert ask("cluster", "cluster_config").json() == before


@pytest.mark.parametrize(
    "action", ["shutdown-cluster", "decommission-cluster", "start-maintenance", "rotate-logs", "attach", ""]
)
def test_other_actions_on_a_cluster_are_named(configure: Configure, action: str) -> None:
    """What is not done with a cluster of one node is a 501 that names it."""
    answer = configure(action)
    assert answer.status_code == 501
    assert f'"{action}"' in answer.json()["message"]


# --- who may know ----------------------------------------------------------------------------------------------------

PLAIN = Principal("1", "an account without roles")
READER = Principal("2", "a reader", grants=Grants(CLUSTER_READ_ONLY))
LISTER = Principal("3", "of one bucket", grants=Grants(Access.LIST_BUCKETS, {BucketName("seen"): READ_ONLY}))
CREATOR = Principal("4", "a creator", grants=Grants(Access.CREATE_BUCKET))


class Inside(NamedTuple):
    """A gateway without a server, and what runs its operations."""

    gateway: Gateway
    run: Callable[[Any], Any]


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    """A gateway on a loop of its own, with three buckets."""
    with asyncio.Runner() as runner:

        async def opened() -> Gateway:
            gateway = open_gateway(tmp_path / "data", inline_limit=1000)
            await gateway.folders.open()
            for name in (BucketName("seen"), BucketName("unseen"), BucketName("seen", "aws")):
                await gateway.buckets.create(EVERYONE, name, looks_up=False)
            return gateway

        gateway = runner.run(opened())
        yield Inside(gateway, runner.run)
        runner.run(gateway.close())


@pytest.mark.parametrize("who", [ANONYMOUS, PLAIN, LISTER, CREATOR], ids=lambda who: who.name or "anonymous")
def test_the_cluster_is_shown_to_who_may_see_it(inside: Inside, who: Principal) -> None:
    """Without the permission to see the cluster there is no map, no state and no configuration."""
    gateway = inside.gateway
    for question in (gateway.system.cluster, gateway.system.status, gateway.configuration.get):
        with pytest.raises(errors.AccessDenied):
            inside.run(question(who))
        inside.run(question(READER))


def test_a_caller_sees_the_buckets_that_it_may_list(inside: Inside) -> None:
    """A list has those buckets and no others, and who may not list at all is refused."""

    def seen(who: Principal) -> list[str]:
        return [bucket.identity.uri for bucket in inside.run(inside.gateway.buckets.list(who, limit=100)).buckets]

    assert seen(EVERYONE) == ["ais://seen", "s3://seen", "ais://unseen"]
    assert seen(LISTER) == ["ais://seen"]
    assert seen(PLAIN) == seen(READER) == []
    for who in (ANONYMOUS, CREATOR):
        with pytest.raises(errors.AccessDenied):
            seen(who)


def test_sizes_are_for_who_may_list(inside: Inside) -> None:
    """Counting under a prefix would tell names: it needs the permission to list them."""
    seen, unseen = BucketName("seen"), BucketName("unseen")
    assert inside.run(inside.gateway.buckets.sizes(LISTER, seen, "a"))[1].objects == 0
    for who, bucket in ((LISTER, unseen), (PLAIN, seen), (READER, seen), (ANONYMOUS, seen)):
        with pytest.raises(errors.AccessDenied):
            inside.run(inside.gateway.buckets.sizes(who, bucket, "a"))
        with pytest.raises(errors.AccessDenied):
            inside.run(inside.gateway.buckets.list_details(who, bucket, prefix="", delimiter="", after="", limit=1))


def test_where_certificates_are_is_the_administrators_business(inside: Inside) -> None:
    """Who may only look sees the name of a file, not where it is."""
    changes = {"net.http.server_crt": "/etc/private/tide.crt", "net.http.server_key": "/etc/private/tide.key"}
    inside.run(inside.gateway.configuration.set(EVERYONE, changes))
    told = inside.run(inside.gateway.configuration.get(READER)).net.http
    assert (told.server_crt, told.server_key) == ("tide.crt", "tide.key")
    told = inside.run(inside.gateway.configuration.get(EVERYONE)).net.http
    assert (told.server_crt, told.server_key) == tuple(changes.values())
