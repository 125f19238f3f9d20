"""Group 9: there are no credentials that anybody knows, and nobody is told any."""

from __future__ import annotations

import itertools
import stat
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from tests.attacks import signing
from tests.attacks.signing import Keys, Request
from tests.attacks.tokens import PASSWORD, add_user, bearer, login, native, stored, token_of
from tests.attacks.world import World
from tidegate.testing import ServerProcess

# What other servers come with, and what people type first.
NAMES = ("admin", "root", "minioadmin", "rustfsadmin", "administrator", "tidegate", "test", "guest")
WORDS = ("admin", "root", "minioadmin", "rustfsadmin", "password", "tidegate", "test", "12345678", "changeme")

# Where other servers tell too much.
PLACES = (
    "/minio/bootstrap/v1/verify",
    "/minio/bootstrap/v1/verify?x=y",
    "/minio/admin/v3/info",
    "/minio/health/cluster",
    "/minio/v2/metrics/cluster",
    "/rustfs/admin/v3/info",
    "/rustfs/rpc/read_file_stream",
    "/rustfs/console/license",
    "/_lakefs/metrics",
    "/api/v1/setup_lakefs",
    "/api/v1/config",
    "/debug/pprof/",
    "/debug/vars",
    "/metrics",
    "/.env",
    "/.git/config",
    "/server-status",
    "/actuator/env",
    "/secret.key",
    "/catalog.db",
    "/-/config",
    "/-/env",
    "/-/debug",
    "/v1/daemon?what=config",
    "/v1/daemon?what=log",
    "/v1/daemon?what=sysinfo",
    "/v1/daemon?what=smap",
    "/v1/daemon",
    "/v1/cluster?what=cluster_config",
    "/v1/reverse/daemon?what=config",
    "/v1/users",
    "/v1/users/admin",
    "/v1/roles",
    "/v1/tokens",
    "/v1/public-key",
    "/v1/.well-known/openid-configuration",
)


@pytest.fixture
def process(world: World) -> ServerProcess:
    """The attacked server's process."""
    assert isinstance(world.server, ServerProcess)
    return world.server


@pytest.mark.parametrize("name", NAMES)
def test_nobody_has_a_known_key(world: World, name: str) -> None:
    """No access key is there by itself, whatever its secret."""
    for secret in (*WORDS, name):
        reply = world.send(signing.v4(Keys(name, secret), world.hosted(Request("GET", "/"))))
        assert (reply.status, reply.code) == (403, "InvalidAccessKeyId")


def test_the_administrator_has_no_known_password(world: World) -> None:
    """Nobody logs in as the administrator, or as anybody else, with a word that everybody knows, or with none."""
    for name, word in itertools.islice(zip(NAMES, itertools.cycle(("", " ", *WORDS))), 24):
        reply = native(world, "POST", f"/users/{name}", json={"password": word})
        assert reply.status_code == 401
        assert "invalid credentials" in reply.json()["message"]


def test_a_user_without_a_password_cannot_log_in(world: World) -> None:
    """Having no password is not having an empty one."""
    from tests.attacks.world import add_user as add_account

    add_account(world.server.data, "without-a-password")
    for word in ("", "null", "None", " "):
        reply = native(world, "POST", "/users/without-a-password", json={"password": word})
        assert reply.status_code == 401


def secrets(world: World) -> list[str]:
    """What nobody is to be told."""
    return [
        world.admin.secret,
        world.alice.secret,
        (world.server.data / "secret.key").read_bytes().hex(),
        *(hashed for (hashed,) in stored(world, "SELECT password FROM users WHERE password IS NOT NULL")),
        "argon2",
        PASSWORD,
    ]


@pytest.mark.parametrize("place", PLACES)
def test_cve_2023_28432_nothing_is_told_to_nobody(world: World, place: str) -> None:
    """Where other servers show their environment, configuration or metrics to whoever asks, nothing is to be had."""
    for method in ("GET", "POST"):
        reply = requests.request(method, world.server.url + place)
        assert reply.status_code in {400, 401, 403, 404, 405, 501}, reply.text
        for secret in (*secrets(world), str(world.server.data), "alice"):
            assert secret not in reply.text
        assert reply.headers.get("content-type", "").split(";")[0] in {
            "application/xml",
            "application/json",
            "text/plain",
            "",
        }


def test_cve_2025_64179_what_is_public_names_nobody(world: World) -> None:
    """What needs no credentials - probes, metrics, health - tells of no user, bucket, key, file or version of ours."""
    bucket = world.make_bucket(world.alice)
    name, _ = add_user(world)
    for path in ("/-/healthy", "/-/ready", "/-/metrics", "/v1/health", "/v1/health?prr=true"):
        reply = requests.get(world.server.url + path)
        assert reply.status_code in {200, 403}
        for word in (*secrets(world), bucket, name, "alice", world.alice.access, str(world.server.data)):
            assert word not in reply.text + str(reply.headers)


def test_an_administrator_is_told_no_secret_either(world: World) -> None:
    """Nobody needs a secret that the system keeps: no answer to an administrator has one."""
    token = token_of(world, "admin")
    for path in (
        "/users",
        "/users/admin",
        "/roles",
        "/clusters",
        "/daemon",
        "/daemon?what=config",
        "/daemon?what=smap",
        "/daemon?what=snode",
        "/daemon?what=sysinfo",
        "/cluster?what=cluster_config",
        "/buckets",
    ):
        text = native(world, "GET", path, token).text
        for secret in secrets(world):
            assert secret not in text, path


def test_no_log_has_a_credential(world: World, process: ServerProcess) -> None:
    """Wherever a token, password or signature stands in a request, right or wrong, no line of a log has it."""
    name, keys = add_user(world, account=True)
    token, marker = login(world, name), "marker-of-a-secret"
    url = signing.v4_url(keys, world.hosted(Request("GET", "/", f"X-Amz-Security-Token={quote(token)}")))
    signature = url.query.rpartition("X-Amz-Signature=")[2]
    hosted = world.hosted(Request("GET", "/"))
    for request in (
        url,
        bearer(hosted, token),
        bearer(hosted, f"{token}x{marker}"),
        bearer(hosted, marker),
        hosted.with_headers(x_amz_security_token=marker),
        signing.v4(keys, hosted.with_headers(x_amz_security_token=token)),
        Request("GET", "/", f"X-Amz-Security-Token={marker}"),
        Request("GET", "/", f"x-amz-security-token={marker}"),
        Request("GET", "/", f"X%2DAmz-Security-Token={marker}&X-Amz-Signature={marker}"),
    ):
        world.send(request)
    for message in ({"password": marker}, {"password": marker, "expires_in": "x"}, {"password": [marker]}):
        native(world, "POST", f"/users/{name}", json=message)
    native(world, "DELETE", "/tokens", token, json={"token": marker})
    native(world, "PUT", f"/users/{name}", token, json={"id": name, "pass": marker})
    native(world, "GET", "/buckets", marker)
    assert name in process.log  # there are lines of these requests
    for secret in (token, token.rpartition(".")[2], marker, signature, PASSWORD, world.admin.secret):
        assert secret not in process.log
    assert world.admin.secret in process.output  # which is where it is shown once


def test_no_error_repeats_a_credential(world: World) -> None:
    """What was wrong is not said by repeating it."""
    marker = "marker-of-a-secret"
    replies: list[Any] = [
        native(world, "POST", "/users/admin", json={"password": marker}).text,
        native(world, "POST", "/users/admin", data=f'{{"password": {marker}').text,
        native(world, "POST", "/users/admin", json={"password": {"x": marker}}).text,
        native(world, "GET", "/buckets", marker).text,
        native(world, "DELETE", "/tokens", token_of(world, "admin"), json={"token": marker}).text,
        world.send(bearer(world.hosted(Request("GET", "/")), marker)).body.decode(),
        world.send(world.hosted(Request("GET", "/")).with_headers(x_amz_security_token=marker)).body.decode(),
    ]
    for text in replies:
        assert marker not in text


def test_what_is_on_disk_is_its_owners(world: World) -> None:
    """The key file and the catalog are for nobody else to read, and hold no password, token or secret in the clear."""
    token = token_of(world, "admin")
    for file in (world.server.data / "secret.key", world.server.data / "catalog.db"):
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0
    files = [file for file in world.files() if file.suffix != ".log"]
    for secret in (world.admin.secret, world.alice.secret, PASSWORD, token):
        assert [file for file in files if _has(file, secret.encode())] == []


def _has(file: Path, secret: bytes) -> bool:
    try:
        return secret in file.read_bytes()
    except FileNotFoundError:  # something temporary
        return False
