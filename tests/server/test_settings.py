"""How a server is configured: what wins, what is refused, and that nothing is undocumented."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate import settings
from tidegate.settings import DECLARED, KIB, Settings, SettingsError, arguments, is_loopback, load

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]


def toml(folder: Path, text: str) -> str:
    """A file for --config."""
    path = folder / "tidegate.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_defaults_are_safe_and_simple() -> None:
    """Without any setting a server listens on this machine only, on the two ports that the guides use."""
    plain = load(environment={})
    assert (plain.host, plain.port, plain.repos_port) == ("127.0.0.1", 8080, 30600)
    assert (plain.data, plain.auth, plain.durability) == ((Path("tidegate-data"),), False, "full")
    assert plain.workers >= 1
    assert plain == Settings(workers=plain.workers)


def test_flags_win_over_variables_over_the_file_over_defaults(tmp_path: Path) -> None:
    """Each source is asked only for what a stronger one leaves open."""
    file = toml(tmp_path, 'port = 1\nrepos_port = 2\nworkers = 3\nhost = "127.0.0.2"')
    loaded = load({"config": file, "port": "11"}, {"TIDEGATE_PORT": "21", "TIDEGATE_REPOS_PORT": "22"})
    assert (loaded.port, loaded.repos_port, loaded.workers, loaded.host) == (11, 22, 3, "127.0.0.2")
    assert loaded.inline_limit == Settings().inline_limit


def test_file_can_be_named_by_a_variable_and_the_flag_wins(tmp_path: Path) -> None:
    """TIDEGATE_CONFIG does as well as --config."""
    (tmp_path / "other").mkdir()
    weak, strong = toml(tmp_path / "other", "port = 1"), toml(tmp_path, "port = 2")
    assert load({}, {"TIDEGATE_CONFIG": weak}).port == 1
    assert load({"config": strong}, {"TIDEGATE_CONFIG": weak}).port == 2


# For each setting another value than its default, as text and as TOML.
OTHERS: Mapping[str, tuple[str, str, object]] = {
    "data": ("/srv/x:/srv/y", '["/srv/x", "/srv/y"]', (Path("/srv/x"), Path("/srv/y"))),
    "host": ("::1", '"::1"', "::1"),
    "port": ("9000", "9000", 9000),
    "repos_port": ("off", '"off"', None),
    "workers": ("7", "7", 7),
    "auth": ("on", "true", True),
    "allow_anonymous": ("on", "true", True),
    "domains": ("a.example,B.example.", '["a.example", "B.example."]', ("a.example", "b.example")),
    "tls_cert": ("c.pem", '"c.pem"', Path("c.pem")),
    "tls_key": ("k.pem", '"k.pem"', Path("k.pem")),
    "durability": ("relaxed", '"relaxed"', "relaxed"),
    "inline_limit": ("128KiB", "131072", 128 * KIB),
    "min_part_size": ("1KiB", "1024", KIB),
    "promote_from": ("/srv/p:/srv/q", '["/srv/p", "/srv/q"]', (Path("/srv/p"), Path("/srv/q"))),
    "access_log": ("true", "true", True),
    "log_format": ("json", '"json"', "json"),
    "log_level": ("debug", '"debug"', "debug"),
}


def test_every_setting_can_be_given_in_every_way(tmp_path: Path) -> None:
    """A flag, a variable and a TOML key of each setting come to the same value."""
    assert OTHERS.keys() == DECLARED.keys() - {"config"}
    for source in ("flag", "variable", "file"):
        flags: dict[str, object] = {}
        environment: dict[str, str] = {}
        if source == "flag":
            flags = {name: text for name, (text, _, _) in OTHERS.items()}
        elif source == "variable":
            environment = {DECLARED[name].variable: text for name, (text, _, _) in OTHERS.items()}
        else:
            flags = {"config": toml(tmp_path, "\n".join(f"{name} = {text}" for name, (_, text, _) in OTHERS.items()))}
        loaded = load(flags, environment)
        for name, (_, _, value) in OTHERS.items():
            assert getattr(loaded, name) == value, (source, name)


def test_arguments_are_read_back_as_the_same_settings() -> None:
    """What ``arguments`` makes of settings is what the command line takes."""
    values = {
        "port": 8192,
        "repos_port": None,
        "auth": True,
        "access_log": False,
        "domains": ("a", "b"),
        "data": Path("x"),
    }
    assert arguments(values) == [
        *("--port", "8192", "--repos-port", "off", "--auth", "on", "--no-access-log"),
        *("--domain", "a", "--domain", "b", "--data", "x"),
    ]
    with pytest.raises(SettingsError, match="prot"):
        arguments({"prot": 1})


@pytest.mark.parametrize(
    ("flags", "environment", "file", "complaint"),
    [
        ({}, {"TIDEGATE_PROT": "1"}, "", "TIDEGATE_PROT is no setting of Tidegate. Did you mean TIDEGATE_PORT?"),
        ({}, {"TIDEGATE_": "1"}, "", "TIDEGATE_ is no setting"),
        ({}, {}, "repos-port = 1", "the key repos-port is no setting of Tidegate. Did you mean repos_port?"),
        ({}, {}, 'config = "x"', "the key config is no setting"),
        ({}, {}, "[server]\nport = 1", "the key server is no setting"),
        ({}, {}, "port = ", "is not TOML"),
        ({}, {}, 'port = "x"', "port in .*: 'x' is not a port"),
        ({}, {}, "port = true", "True is not a port"),
        ({}, {}, "port = 1.5", "1.5 is not a port"),
        ({}, {}, "auth = 1", "1 is neither on nor off"),
        ({"port": "65536"}, {}, "", "--port: '65536' is not a port"),
        ({"port": "-1"}, {}, "", "--port: '-1' is not a port"),
        ({"port": "²"}, {}, "", "is not a port"),
        ({}, {"TIDEGATE_PORT": "tcp://10.0.0.1:8080"}, "", "TIDEGATE_PORT: 'tcp"),
        ({"repos_port": "none"}, {}, "", "--repos-port: 'none' is not a port"),
        ({"workers": "0"}, {}, "", "--workers: '0' is not a number of workers"),
        ({"workers": "100000"}, {}, "", "--workers"),
        ({"auth": "maybe"}, {}, "", "--auth: 'maybe' is neither on nor off"),
        ({"domains": ["a_b"]}, {}, "", "--domain: 'a_b' is not a domain name"),
        ({"domains": [""]}, {}, "", "--domain"),
        ({"inline_limit": "1 lot"}, {}, "", "--inline-limit: '1 lot' is not a size"),
        ({"inline_limit": "1GiB"}, {}, "", "--inline-limit is 1GiB: at most 4MiB"),
        ({"log_format": "xml"}, {}, "", "--log-format: 'xml' is none of text, json"),
        ({"durability": ""}, {}, "", "--durability"),
        ({"data": ""}, {}, "", "--data"),
        ({"tls_cert": "c"}, {}, "", "--tls-cert and --tls-key go together"),
        ({"tls_key": "k"}, {}, "", "--tls-cert and --tls-key go together"),
        ({"port": "30600"}, {}, "", "both 30600"),
        ({"config": "/nowhere/x.toml"}, {}, "", "cannot read /nowhere/x.toml"),
        ({"host": "0.0.0.0"}, {}, "", "--allow-anonymous"),  # noqa: S104 - it is refused
        ({"host": "::"}, {}, "", "--allow-anonymous"),
        ({"host": "192.0.2.1"}, {}, "", "--allow-anonymous"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(
    tmp_path: Path, flags: dict[str, object], environment: dict[str, str], file: str, complaint: str
) -> None:
    """An unknown, malformed or contradictory setting is an error that says which it is and where it was given."""
    if file:
        flags = {**flags, "config": toml(tmp_path, file)}
    with pytest.raises(SettingsError, match=complaint):
        load(flags, environment)


@pytest.mark.parametrize("flags", [{"auth": "on"}, {"allow_anonymous": True}])
def test_open_address_needs_authentication_or_the_word(flags: dict[str, object]) -> None:
    """Other machines may reach a server that checks credentials, or one that was told in so many words not to."""
    assert load({"host": "0.0.0.0", **flags}, {}).host == "0.0.0.0"  # noqa: S104 - nothing listens here


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_addresses_are_known(host: str) -> None:
    """This machine's own addresses need no authentication."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "name.invalid", "-", "a" * 300])  # noqa: S104
def test_everything_else_is_not_loopback(host: str) -> None:
    """A name that cannot be resolved is not trusted either."""
    assert not is_loopback(host)


def test_workers_default_to_the_cores_there_are() -> None:
    """One worker a core, and never none."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    assert 1 <= settings.available_cores() <= cores


@given(st.integers(0, settings.MAX_INLINE))
def test_sizes_in_words_are_read_back(size: int) -> None:
    """What documentation and errors show as a size is one that can be given."""
    assert load({"inline_limit": settings.size_in_words(size)}, {}).inline_limit == size


def test_parts_have_amazons_smallest_size_where_requests_are_authenticated() -> None:
    """Parts may be of any size with authentication off, have 5 MiB with it on, and what is given counts over both."""
    assert Settings().smallest_part == 0
    assert Settings(auth=True).smallest_part == 5 * 1024 * KIB
    assert Settings(auth=True, min_part_size=1).smallest_part == 1


def test_settings_do_not_change() -> None:
    """What was loaded is what every worker sees."""
    with pytest.raises(AttributeError):
        Settings().port = 1  # type: ignore[misc]
    assert msgspec.structs.replace(Settings(), port=1).port == 1


def test_every_setting_is_documented() -> None:
    """docs/settings.md has one line for each setting, and it says what the declaration says."""
    lines = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| `--")]
    assert rows == [
        f"| `{each.flag}{' ' + each.option.metavar.replace('|', chr(92) + '|') if each.option.metavar else ''}` "
        f"| `{each.variable}` | {f'`{each.name}`' if each.option.in_toml else ''} "
        f"| {each.shown_default} | {each.option.help} |"
        for each in DECLARED.values()
    ]
