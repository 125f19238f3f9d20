"""Changing properties: by flat name (``checksum.type``) or as a partial tree; checked before anything is kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from types import MappingProxyType
from typing import Final, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import inspect

from tidegate import access, errors
from tidegate.names import parse_bucket_uri, provider_of
from tidegate.properties import features, secrets
from tidegate.properties.spans import is_span
from tidegate.properties.tree import BucketProperties, Configuration

Tree = TypeVar("Tree", BucketProperties, Configuration)
Value = str | int | bool | float

# Properties that this system acts on, by flat name or section.
_ACTING: Final = frozenset(
    {
        "checksum.type", "checksum.validate_cold_get", "checksum.validate_warm_get", "versioning.enabled",
        "versioning.validate_warm_get", "versioning.synchronize",
        "mirror.copies", "mirror.enabled", "write_policy", "features", "access",
        "backend_bck", "extra", "space", "lru", "net.http.server_crt", "net.http.server_key", "net.http.use_https",
    }
)  # fmt: skip
# Why the others cannot be set.
_REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "checksum.validate_obj_move": "objects are never moved between nodes",
        "checksum.enable_read_range": "each block of a range is verified in any case",
        "ec": "erasure coding is not implemented; mirror.enabled keeps copies",
        "chunks": "objects of any size are kept whole",
        "rate_limit": "rate limits are not implemented",
        "mirror.burst_buffer": "copies are made before a write is answered",
        "auth": "the server's --auth says whether credentials are checked",
        "net": "the server's own buffers are not configurable",
        "net.http.skip_verify": "clients decide for themselves",
    }
)
# Sections of AIStore's configuration that this system has nothing for.
_ABSENT: Final = frozenset(
    {
        "arch", "backend", "client", "disk", "distributed_sort", "downloader", "fshc", "get_batch", "keepalivetracker",
        "log", "memsys", "periodic", "proxy", "rebalance", "resilver", "tcb", "tco", "timeout", "tracing", "transport",
    }
)  # fmt: skip
READ_ONLY: Final = frozenset({"provider", "namespace", "name", "created", "bid", "present", "renamed"})
# What a server reads once, when it starts.
NEEDS_RESTART: Final = ("net",)

_MULTIPART_SIZES: Final = (5 * 1024**2, 5 * 1024**3)
_NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")
# Of a value that is refused, as much is repeated.
_SHOWN: Final = 64


def flatten(tree: object, prefix: str = "") -> dict[str, Value]:
    """A tree of structs, or of mappings, as ``{"checksum.type": "md5"}``, in the order of its fields."""
    return dict(_walk(tree, prefix))


def _walk(tree: object, prefix: str) -> Iterator[tuple[str, Value]]:
    if isinstance(tree, msgspec.Struct):
        items: Iterator[tuple[str, object]] = ((name, getattr(tree, name)) for name in tree.__struct_fields__)
    elif isinstance(tree, Mapping):
        items = iter(tree.items())
    else:
        raise errors.InvalidArgument("properties are a JSON object")
    for name, value in items:
        path = f"{prefix}.{name}" if prefix else str(name)
        if isinstance(value, (msgspec.Struct, Mapping)):
            yield from _walk(value, path)
        else:
            yield path, value  # type: ignore[misc]  # checked when the tree is built again


def rebuild(kind: type[Tree], flat: Mapping[str, object]) -> Tree:
    """The tree of flat names, each converted to its type; what is not named has its default.

    Raises ``InvalidArgument``.
    """
    try:
        return msgspec.convert(nest(flat), kind, strict=False)
    except msgspec.ValidationError as error:
        raise errors.InvalidArgument(f"invalid property: {error}") from None


def nest(flat: Mapping[str, object]) -> dict[str, object]:
    """``{"checksum.type": "md5"}`` as a partial tree. Raises ``InvalidArgument``."""
    tree: dict[str, object] = {}
    for path, value in flat.items():
        at = tree
        *sections, name = path.split(".")
        for section in sections:
            inner = at.setdefault(section, {})
            if not isinstance(inner, dict):
                raise errors.InvalidArgument(f'"{path}" and "{section}" cannot be set together')
            at = inner
        at[name] = value
    return tree


def change(tree: Tree, changes: Mapping[str, object]) -> Tree:
    """The tree with properties changed: by flat names, a partial tree, or both.

    Raises ``InvalidArgument`` for a name that is none, that is read-only or that this system does not act on, and for a
    value that its property cannot have.
    """
    flat: dict[str, object] = dict(flatten(tree))
    kinds = _kinds(type(tree))
    for path, value in _normalised(changes).items():
        if path not in flat:
            raise errors.InvalidArgument(_unknown(path, tree))
        flat[path] = _converted(path, value, kinds[path], flat[path])
    after = rebuild(type(tree), flat)
    if isinstance(after, BucketProperties):
        _check_features(int(after.features) & ~int(tree.features))
    _check_together(after)
    return after


def _unknown(path: str, tree: BucketProperties | Configuration) -> str:
    if path in READ_ONLY:
        return f'property "{path}" is readonly'
    if isinstance(tree, Configuration) and is_absent(path):
        return f'"{path}" is a setting of AIStore that this system does not have'
    return f'unknown property "{path}"'


def is_absent(path: str) -> bool:
    """Whether it is, or is in, a section of AIStore's configuration that this system has nothing for."""
    return path.partition(".")[0] in _ABSENT


@cache
def _kinds(tree: type[msgspec.Struct]) -> Mapping[str, object]:
    """The types of a tree's properties, by flat name."""
    found: dict[str, object] = {}
    for field in msgspec.structs.fields(tree):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            found |= {f"{field.name}.{path}": kind for path, kind in _kinds(field.type).items()}
        else:
            found[field.name] = field.type
    return found


def _converted(path: str, value: object, kind: object, before: object) -> object:
    """A property's new value in its own type. Raises ``InvalidArgument``, and why it cannot be set before all else.

    What is shown in place of a secret stands for that.
    """
    if path == secrets.ORIGINAL_URL and value == secrets.concealed(str(before)):
        return before
    secrets.check(path, value)
    refusal = why_not(path)
    try:
        converted: object = msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        if refusal is None:
            raise _invalid(path, value, _expected(kind)) from None
    else:
        if refusal is None or converted == before:
            return converted
    raise errors.InvalidArgument(f'property "{path}" cannot be set: {refusal}')


def _invalid(path: str, value: object, expected: str) -> errors.InvalidArgument:
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
    return errors.InvalidArgument(f'invalid value "{shown}" of property "{path}": {expected}')


def _expected(kind: object) -> str:
    """What a value of a type has to be, in words."""
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(str(each) or '""' for each in get_args(kind))
    told = inspect.type_info(kind)
    if isinstance(told, inspect.BoolType):
        return "expected true or false"
    if isinstance(told, inspect.IntType):
        if told.ge is not None and told.le is not None:
            return f"expected a whole number from {told.ge} to {told.le}"
        return "expected a whole number" + ("" if told.ge is None else f", {told.ge} or more")
    if isinstance(told, inspect.StrType) and told.max_length is not None:
        return f"expected a text of {told.max_length} characters at most"
    return "expected a text"


def _check_features(added: int) -> None:
    """Raises ``InvalidArgument`` for flags that a bucket cannot have."""
    if wrong := features.names(added & ~features.BUCKET):
        raise errors.InvalidArgument(f'feature flag "{wrong[0]}" is for the cluster, not for a single bucket')


def why_not(path: str) -> str | None:
    """Why a property cannot be set; None where it can."""
    names = [path]
    while "." in names[-1]:
        names.append(names[-1].rpartition(".")[0])
    if any(name in _ACTING for name in names):
        return None
    return next((_REASONS[name] for name in names if name in _REASONS), "this system does not act on it")


def _normalised(changes: Mapping[str, object]) -> dict[str, object]:
    """Changes by flat name, with the spellings that only AIStore's command line knows put straight."""
    wanted: dict[str, object] = {}
    for name, value in changes.items():
        if name == "backend_bck" and not isinstance(value, Mapping):
            wanted |= _backend(str(value))
        elif isinstance(value, (Mapping, msgspec.Struct)):
            wanted |= _normalised(flatten(value, name))
        else:
            normal = _SPELLINGS.get(name)
            wanted[name] = value if normal is None else normal(value)
    for name in wanted:
        if not _NAME.fullmatch(name):
            raise errors.InvalidArgument(f'unknown property "{name}"')
    return wanted


def _backend(value: str) -> dict[str, object]:
    """``backend_bck=aws://name``; ``none`` detaches."""
    if value in {"", "none"}:
        return {"backend_bck.name": "", "backend_bck.provider": ""}
    backend = parse_bucket_uri(value)
    if not backend.is_remote:
        raise errors.InvalidArgument(f'"{value}" cannot be a backend: it is a bucket of our own')
    return {"backend_bck.name": backend.name, "backend_bck.provider": backend.provider}


def _access(value: object) -> str:
    if isinstance(value, (str, int, list)):
        return str(int(access.parse(value)))
    raise errors.InvalidArgument(f'invalid access "{value}"')


def _features(value: object) -> str:
    if isinstance(value, (str, int, list)):
        return str(features.parse(value))
    raise errors.InvalidArgument(f'invalid feature flag "{value}"')


def _duration(path: str, value: object) -> object:
    if isinstance(value, str) and is_span(value):
        return value
    raise _invalid(path, value, "expected a span of time such as 2h, 10m, 1h30m or 300ms")


def _checksum_type(value: object) -> object:
    return "xxhash" if value == "xxhash2" else value


_SPELLINGS: Final[Mapping[str, Callable[[object], object]]] = MappingProxyType(
    {
        "access": _access,
        "features": _features,
        "checksum.type": _checksum_type,
        "backend_bck.provider": lambda value: provider_of(str(value)) if value else "",
        **{path: partial(_duration, path) for path in ("lru.dont_evict_time", "lru.capacity_upd_time")},
    }
)


def _check_together(tree: BucketProperties | Configuration) -> None:
    """What single values do not show. Raises ``InvalidArgument``."""
    if isinstance(tree, Configuration):
        space = tree.space
        if not space.cleanupwm <= space.lowwm <= space.highwm <= space.out_of_space:
            raise errors.InvalidArgument(
                "space watermarks must ascend: cleanupwm <= lowwm <= highwm <= out_of_space "
                f"(have {space.cleanupwm}, {space.lowwm}, {space.highwm}, {space.out_of_space})"
            )
        return
    size = tree.extra.aws.multipart_size
    if size not in {-1, 0} and not _MULTIPART_SIZES[0] <= size <= _MULTIPART_SIZES[1]:
        raise errors.InvalidArgument("extra.aws.multipart_size is -1 (never), 0 (default) or from 5MiB to 5GiB")
    if bool(tree.backend_bck.name) != bool(tree.backend_bck.provider):
        raise errors.InvalidArgument("backend_bck needs a name and a provider")


def present(tree: BucketProperties | Configuration) -> dict[str, object]:
    """The whole tree as JSON's objects, defaults included, and without secrets."""
    if isinstance(tree, BucketProperties):
        http = tree.extra.http
        http = msgspec.structs.replace(http, original_url=secrets.concealed(http.original_url))
        tree = msgspec.structs.replace(tree, extra=msgspec.structs.replace(tree.extra, http=http))
    nested: dict[str, object] = {}
    for name in tree.__struct_fields__:
        value = getattr(tree, name)
        nested[name] = msgspec.to_builtins(value)
    return nested
