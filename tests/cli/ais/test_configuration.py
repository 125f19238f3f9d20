"""``ais config`` and ``ais show cluster``, on a server of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import write_certificate
from tests.cli.ais.command import Ais
from tidegate.testing import serve


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ais]:
    """A command on a server whose configuration may be changed."""
    with serve(repos_port=None) as server:
        yield Ais(server, tmp_path_factory.mktemp("configuration"), {})


@pytest.fixture
def own(configured: Ais) -> Iterator[Ais]:
    """The same; afterwards everything is as it was."""
    yield configured
    configured("config", "reset", "--yes")


def test_showing_the_configuration(own: Ais) -> None:
    """A key, or a section in AIStore's order, as the guides show them."""
    assert own("config", "cluster", "checksum.type").rows == [["PROPERTY", "VALUE"], ["checksum.type", "xxhash"]]
    assert own("config", "cluster", "net.http").rows == [
        ["PROPERTY", "VALUE"],
        ["net.http.server_crt", "server.crt"],
        ["net.http.server_key", "server.key"],
        ["net.http.write_buffer_size", "65536"],
        ["net.http.read_buffer_size", "65536"],
        ["net.http.use_https", "false"],
        ["net.http.skip_verify", "false"],
        ["net.http.chunked_transfer", "true"],
    ]
    assert own("config", "cluster", "--json").json["checksum"]["type"] == "xxhash"
    assert own("config", "cluster", "checksum", "--json").json["checksum"]["type"] == "xxhash"
    assert ["space.highwm", "90"] in own("show", "config").rows
    said = own.fails("config", "cluster", "checksum.typ")
    assert said == 'invalid property name "checksum.typ"\n(Hint: Did you mean "checksum.type"?)'


def test_changing_the_configuration(own: Ais) -> None:
    """A change is printed as JSON alone; who reads along sees that it is done. New buckets begin with it."""
    changed = own("config", "cluster", "checksum.type=md5")
    assert changed.output == '{\n    "checksum.type": "md5"\n}\n'
    assert changed.error == "\ncluster config updated\n"
    own("create", "ais://inherits")
    assert ["checksum", "Type:", "md5", "|", "Validate:", "ColdGET"] in own("show", "bucket", "ais://inherits").rows
    own("config", "cluster", "space.highwm", "91")
    own("config", "cluster", '{"space": {"lowwm": 76}}')
    assert {("space.highwm", "91"), ("space.lowwm", "76")} <= set(map(tuple, own("config", "cluster", "space").rows))
    assert own.fails("config", "cluster", "checksum.typ=md5").endswith('Did you mean "checksum.type"?)')
    assert "ascend" in own.fails("config", "cluster", "space.highwm=1")
    assert own("config", "reset", "--yes").output == "config successfully reset\n"
    assert own("config", "cluster", "space.highwm", "-H").rows == [["space.highwm", "90"]]
    assert "--yes" in own.fails("config", "reset")


def test_what_needs_a_restart(own: Ais) -> None:
    """HTTPS is set, and takes effect when the server starts again, which is said."""
    certificate, key = write_certificate(own.folder)
    changed = own(
        "config",
        "cluster",
        f"net.http.server_crt={certificate}",
        f"net.http.server_key={key}",
        "net.http.use_https=true",
    )
    assert (
        "Warning: cluster restart required for the change 'net.http.use_https=true' to take an effect.\n"
        in changed.error
    )
    undone = own("config", "reset", "--yes")
    assert (
        "Warning: cluster restart required for the change 'net.http.use_https=false' to take an effect.\n"
        in undone.error
    )


def test_settings_that_are_aistore_s_alone(own: Ais) -> None:
    """What has no meaning here is said to be so, and nothing else is suggested for it."""
    said = '"{}" is a setting of AIStore that this system does not have'
    assert own.fails("config", "cluster", "rebalance.enabled=true") == said.format("rebalance.enabled")
    assert own.fails("config", "cluster", "rebalance") == said.format("rebalance")


def test_https_needs_a_certificate(own: Ais) -> None:
    """A server that could not start again is not configured."""
    assert "no certificate" in own.fails("config", "cluster", "net.http.use_https=true")


def test_features(own: Ais) -> None:
    """Flags are set by their names, and shown by them; none clears them."""
    own("config", "cluster", "features", "S3-API-via-Root", "Fsync-PUT")
    assert own("config", "cluster", "features").rows[1] == ["features", "S3-API-via-Root,Fsync-PUT"]
    own("config", "cluster", "features", "none")
    assert own("config", "cluster", "features", "-H").rows == [["features", "-"]]
    assert "invalid feature flag" in own.fails("config", "cluster", "features", "Nonsense")


def test_the_cluster(own: Ais) -> None:
    """There is one proxy and one target, at one address."""
    shown = own("show", "cluster").output
    assert [line.split()[1:] for line in shown.splitlines()[1:3]] == [
        ["proxy", own.server.url if own.server else ""],
        ["target", own.server.url if own.server else ""],
    ]
    assert "Summary: proxies(1), targets(1), cluster map(v" in shown
    assert [row[1] for row in own("show", "cluster", "target", "-H").rows] == ["target"]
    assert len(own("show", "cluster", "--json").json["pmap"]) == 1


def test_the_command_line_itself(own: Ais, tmp_path: Path) -> None:
    """It says whom it speaks to and for; nothing can be set in it but by variables."""
    (tmp_path / "token").write_text('{"token": "x.y.z"}', encoding="utf-8")
    shown = own("config", "cli", "--json", AIS_AUTHN_TOKEN_FILE=str(tmp_path / "token")).json
    assert shown == {
        "endpoint": own.server.url if own.server else "",
        "token": "set",
        "token_file": str(tmp_path / "token"),
    }
    assert "AIS_ENDPOINT" in own.fails("config", "cli", "set", "x=y")
