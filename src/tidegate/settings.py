"""How a server is configured: flags over ``TIDEGATE_*`` variables over a TOML file over what the catalog keeps
(``ais config cluster``) over defaults.

Each setting is declared once, as a field of ``Settings`` with an ``Option`` beside its type. Its flag, its variable,
its TOML key, its parser and its line in ``docs/settings.md`` all derive from that. What nobody declared is an error
wherever it stands, so that a misspelt setting is never silently ignored.
"""

from __future__ import annotations

import difflib
import ipaddress
import math
import os
import re
import socket
import tomllib
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

import msgspec

PREFIX = "TIDEGATE_"
# The administrator's first password, by our name and by AIStore's. Variables only: a flag would stand in the list of
# processes, a setting in a file that others read.
ADMINISTRATOR_PASSWORD = (f"{PREFIX}ADMIN_PASSWORD", "AIS_AUTHN_SU_PASS")

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
Durability = Literal["full", "relaxed"]

# A worker is a process of some 50 MB: a number beyond this is a slip of the finger.
MAX_WORKERS = 1024
# Amazon S3: every part but the last.
AMAZON_MIN_PART = 5 * MIB
# SQLite takes a row of up to 1 GB; far below that, a file of its own is faster and does not bloat the catalog.
MAX_INLINE = 4 * MIB

_SIZE = re.compile(r"(\d{1,19})\s*([KMGT]i?B?|B)?", re.IGNORECASE)
_UNITS = {"": 1, "B": 1, "K": KIB, "M": MIB, "G": GIB, "T": TIB}
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")


class SettingsError(Exception):
    """A setting that is unknown, unreadable, or does not go together with another.

    Says which, and where it was given.
    """


# --- what a value may be: each parser takes what a flag, a variable or TOML gives, and raises ValueError -------------


def _text(value: object) -> str:
    if isinstance(value, str) and value:
        return value
    raise ValueError(f"{value!r} is not a name")


def _path(value: object) -> Path:
    return (value if isinstance(value, Path) else Path(_text(value))).expanduser()


def _paths(value: object) -> tuple[Path, ...]:
    """One path or several: a variable has them separated as in PATH."""
    if isinstance(value, str):
        value = value.split(os.pathsep)
    if not isinstance(value, (list, tuple)):
        value = (value,)
    if not value:
        raise ValueError("no folder")
    return tuple(_path(each) for each in value)


def _switch(value: object) -> bool:
    match value:
        case bool():
            return value
        case "on" | "true" | "1" | "yes":
            return True
        case "off" | "false" | "0" | "no":
            return False
        case _:
            raise ValueError(f"{value!r} is neither on nor off")


def _whole(value: object, least: int, most: int, what: str) -> int:
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
    if isinstance(number, int) and not isinstance(number, bool) and least <= number <= most:
        return number
    raise ValueError(f"{value!r} is not {what}, a whole number from {least} to {most}")


def _port(value: object) -> int:
    return _whole(value, 0, 65535, "a port")


def _port_or_off(value: object) -> int | None:
    return None if value == "off" or value is False else _port(value)


def _workers(value: object) -> int:
    return _whole(value, 1, MAX_WORKERS, "a number of workers")


def _size(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    matched = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if matched is None:
        raise ValueError(f"{value!r} is not a size such as 65536, 64KiB or 5GiB")
    number, unit = matched.groups(default="")
    return int(number) * _UNITS[unit[:1].upper()]


def _domains(value: object) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)):
        raise ValueError(f"{value!r} is not a list of domain names")
    domains = tuple(_text(name).strip().rstrip(".").lower() for name in names)
    for name in domains:
        if not _DOMAIN.fullmatch(name):
            raise ValueError(f"{name!r} is not a domain name")
    return domains


def _one_of(kind: object) -> Callable[[object], str]:
    choices: tuple[str, ...] = typing.get_args(kind)

    def parse(value: object) -> str:
        if isinstance(value, str) and value in choices:
            return value
        raise ValueError(f"{value!r} is none of {', '.join(choices)}")

    return parse


class Option(msgspec.Struct, frozen=True):
    """How a setting is given. ``shown`` is its default in words, where the value does not speak for itself."""

    help: str
    parse: Callable[[object], object]
    metavar: str = ""
    flag: str = ""
    shown: str = ""
    is_switch: bool = False  # --name and --no-name, without a value
    in_toml: bool = True


def available_cores() -> int:
    """How many cores this process may use: its CPU affinity, and its cgroup's quota rounded up."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        cores = min(cores, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no cgroup v2, or no quota ("max")
        pass
    return max(cores, 1)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set. Paths are as given, sizes are bytes."""

    data: Annotated[
        tuple[Path, ...],
        Option(
            "The data folder; repeated, further ones on other disks, for more room and for copies.",
            _paths,
            "DIR",
            shown="tidegate-data",
        ),
    ] = (Path("tidegate-data"),)
    host: Annotated[str, Option("The address to listen on.", _text, "ADDRESS")] = "127.0.0.1"
    port: Annotated[int, Option("The port of the S3 endpoint; 0 takes a free one.", _port, "PORT")] = 8080
    repos_port: Annotated[
        int | None,
        Option("The port that sees repositories only; 0 takes a free one, off opens none.", _port_or_off, "PORT|off"),
    ] = 30600
    workers: Annotated[
        int, Option("How many worker processes serve the data folder.", _workers, "N", shown="one a core")
    ] = msgspec.field(default_factory=available_cores)
    auth: Annotated[
        bool, Option("Whether every request needs valid credentials; off accepts any.", _switch, "on|off")
    ] = False
    allow_anonymous: Annotated[
        bool,
        Option(
            "Listen on an address that other machines reach although authentication is off.", _switch, is_switch=True
        ),
    ] = False
    domains: Annotated[
        tuple[str, ...],
        Option(
            "A base name for virtual-host-style addressing (bucket.NAME), beside localhost; may be repeated.",
            _domains,
            "NAME",
            flag="--domain",
            shown="none",
        ),
    ] = ()
    tls_cert: Annotated[
        Path | None, Option("The certificate chain for HTTPS, in PEM format.", _path, "FILE", shown="none")
    ] = None
    tls_key: Annotated[
        Path | None, Option("The private key of the certificate, in PEM format.", _path, "FILE", shown="none")
    ] = None
    config: Annotated[
        Path | None, Option("A TOML file with any of these settings.", _path, "FILE", shown="none", in_toml=False)
    ] = None
    durability: Annotated[
        Durability,
        Option(
            "full: a write is answered after fsync and survives a power cut. relaxed: it survives a killed process.",
            _one_of(Durability),
            "full|relaxed",
        ),
    ] = "full"
    inline_limit: Annotated[
        int, Option("Objects up to this size are kept in the catalog, larger ones in files.", _size, "SIZE")
    ] = 64 * KIB
    min_part_size: Annotated[
        int | None,
        Option(
            "Parts of a multipart upload, but for the last, have at least this size when it is completed.",
            _size,
            "SIZE",
            shown="5MiB with --auth on, as Amazon; 0 without, as AIStore",
        ),
    ] = None
    promote_from: Annotated[
        tuple[Path, ...],
        Option(
            "A folder of this machine whose files clients may make objects of (promote); may be repeated.",
            _paths,
            "DIR",
            shown="none",
        ),
    ] = ()
    access_log: Annotated[bool, Option("Write one line for each request.", _switch, is_switch=True)] = False
    log_format: Annotated[LogFormat, Option("How log lines are written.", _one_of(LogFormat), "text|json")] = "text"
    log_level: Annotated[
        LogLevel,
        Option("The least severity that is logged: debug, info, warning or error.", _one_of(LogLevel), "LEVEL"),
    ] = "info"

    @property
    def home(self) -> Path:
        """The first data folder: it has the catalog, the locks and the key file."""
        return self.data[0]

    @property
    def scheme(self) -> str:
        return "https" if self.tls_cert is not None else "http"

    @property
    def smallest_part(self) -> int:
        """The ``min_part_size`` in force. Without authentication anything goes, as the guides of AIStore show it."""
        if self.min_part_size is not None:
            return self.min_part_size
        return AMAZON_MIN_PART if self.auth else 0


class Declared(msgspec.Struct, frozen=True):
    """A setting and the names it goes by."""

    name: str
    option: Option
    default: object

    @property
    def flag(self) -> str:
        return self.option.flag or "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    @property
    def shown_default(self) -> str:
        if self.option.shown:
            return self.option.shown
        if self.option.parse is _size and isinstance(self.default, int):
            return size_in_words(self.default)
        return _written(self.default)


def size_in_words(size: int) -> str:
    """A size in the largest unit that keeps it whole: ``64KiB``."""
    for unit, name in ((TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit}{name}"
    return str(size)


def _written(value: object) -> str:
    """A value as its own parser reads it back."""
    match value:
        case None | False:
            return "off"
        case True:
            return "on"
        case _:
            return str(value)


def _declared() -> Mapping[str, Declared]:
    hints = typing.get_type_hints(Settings, include_extras=True)
    fields: dict[str, Declared] = {}
    for field in msgspec.structs.fields(Settings):
        (option,) = typing.get_args(hints[field.name])[1:]
        fields[field.name] = Declared(field.name, option, field.default)
    return MappingProxyType(fields)


DECLARED = _declared()


def load(flags: Mapping[str, object] = MappingProxyType({}), environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of a server. ``flags`` are by field name; None there means that the flag was not given.

    Raises SettingsError for what is unknown, malformed or contradictory.
    """
    environment = os.environ if environment is None else environment
    given: dict[str, object] = {}
    given_flags = {name: value for name, value in flags.items() if value is not None}
    variables = {
        name: value
        for name, value in environment.items()
        if name.startswith(PREFIX) and name not in ADMINISTRATOR_PASSWORD
    }
    _refuse_unknown(variables, {each.variable for each in DECLARED.values()}, "the environment variable")

    file = given_flags.get("config") or variables.get(DECLARED["config"].variable)
    if file:
        path = _path(str(file))
        for name, value in _read_toml(path).items():
            given[name] = _parsed(DECLARED[name], value, f"{name} in {path}")
    for each in DECLARED.values():
        if each.variable in variables:
            given[each.name] = _parsed(each, variables[each.variable], each.variable)
        if each.name in given_flags:
            given[each.name] = _parsed(each, given_flags[each.name], each.flag)
    settings: Settings = Settings(**given)  # type: ignore[arg-type]  # each was made by the parser of its field
    check(settings)
    return settings


def administrator_password(environment: Mapping[str, str] | None = None) -> str:
    """The password that the administrator is to have who has none yet; empty where nobody gave one."""
    environment = os.environ if environment is None else environment
    return next((environment[name] for name in ADMINISTRATOR_PASSWORD if environment.get(name)), "")


def _parsed(each: Declared, value: object, source: str) -> object:
    try:
        return each.option.parse(value)
    except ValueError as error:
        raise SettingsError(f"{source}: {error}") from None


def _read_toml(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from None
    _refuse_unknown(values, {each.name for each in DECLARED.values() if each.option.in_toml}, f"in {path}, the key")
    return values


def _refuse_unknown(given: Iterable[str], known: set[str], what: str) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise SettingsError(f"{what} {name} is no setting of Tidegate.{hint}")


def check(settings: Settings) -> None:
    """Refuses what does not go together or would expose the data. Raises SettingsError."""
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise SettingsError("--tls-cert and --tls-key go together: give both or neither")
    if settings.port and settings.port == settings.repos_port:
        raise SettingsError(f"--port and --repos-port are both {settings.port}: give each its own")
    if settings.inline_limit > MAX_INLINE:
        raise SettingsError(
            f"--inline-limit is {size_in_words(settings.inline_limit)}: at most {size_in_words(MAX_INLINE)}"
        )
    if not settings.auth and not settings.allow_anonymous and not is_loopback(settings.host):
        raise SettingsError(
            f"authentication is off, so anyone who reaches {settings.host} could read, change and delete everything. "
            "Turn it on (--auth on), stay on 127.0.0.1, or say that you mean it (--allow-anonymous)"
        )


def is_loopback(host: str) -> bool:
    """Whether an address, or every address of a name, belongs to this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return bool(found) and all(ipaddress.ip_address(entry[4][0]).is_loopback for entry in found)


def arguments(values: Mapping[str, object]) -> Sequence[str]:
    """Settings as arguments of ``tidegate serve``: ``{"port": 0, "access_log": True}`` is ``["--port", "0",
    "--access-log"]``.

    Raises SettingsError for a name that is no setting.
    """
    _refuse_unknown(values, set(DECLARED), "the setting")
    words: list[str] = []
    for name, value in values.items():
        each = DECLARED[name]
        if each.option.is_switch:
            words.append(each.flag if value else each.flag.replace("--", "--no-", 1))
        elif isinstance(value, (list, tuple)):
            for one in value:
                words += [each.flag, _written(one)]
        else:
            words += [each.flag, _written(value)]
    return words
