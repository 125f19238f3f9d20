"""Changing properties: by flat name (``checksum.type``) or as a partial tree; checked before anything is kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec

from tidegate import access, errors
from tidegate.names import parse_bucket_uri, provider_of
from tidegate.properties import features
from tidegate.properties.tree import BucketProperties, Configuration

Tree = TypeVar("Tree", BucketProperties, Configuration)
Value = str | int | bool | float

# Properties that this system acts on, by flat name or section.
_ACTING: Final = frozenset(
    {
        "checksum.type", "checksum.validate_cold_get", "checksum.validate_warm_get", "versioning.enabled",
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
        "versioning.validate_warm_get": "it needs a bucket of another provider",
        "versioning.synchronize": "it needs a bucket of another provider",
        "auth": "the server's --auth says whether credentials are checked",
        "net": "the server's own buffers are not configurable",
    }
)
READ_ONLY: Final = frozenset({"provider", "namespace", "name", "created", "bid", "present", "renamed"})
# What a server reads once, when it starts.
NEEDS_RESTART: Final = ("net",)

_MULTIPART_SIZES: Final = (5 * 1024**2, 5 * 1024**3)
_NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")


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
    nested: dict[str, object] = {}
    for path, value in flat.items():
        at = nested
        *sections, name = path.split(".")
        for section in sections:
            inner = at.setdefault(section, {})
            if not isinstance(inner, dict):
                raise errors.InvalidArgument(f'unknown property "{path}"')
            at = inner
        at[name] = value
    try:
        return msgspec.convert(nested, kind, strict=False)
    except msgspec.ValidationError as error:
        raise errors.InvalidArgument(f"invalid property: {error}") from None


def change(tree: Tree, changes: Mapping[str, object]) -> Tree:
    """The tree with properties changed: by flat names, a partial tree, or both.

    Raises ``InvalidArgument`` for a name that is none, that is read-only or that this system does not act on, and for a
    value that its property cannot have.
    """
    flat = flatten(tree)
    before = dict(flat)
    wanted = _normalised(changes)
    for path, value in wanted.items():
        if path not in flat:
            raise errors.InvalidArgument(
                f'property "{path}" is readonly' if path in READ_ONLY else f'unknown property "{path}"'
            )
        flat[path] = value  # type: ignore[assignment]  # checked by rebuild
    after = rebuild(type(tree), flat)
    flat = flatten(after)
    for path in wanted:
        if flat[path] != before[path] and (reason := why_not(path)):
            raise errors.InvalidArgument(f'property "{path}" cannot be set: {reason}')
    _check_together(after)
    return after


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


def _checksum_type(value: object) -> object:
    return "xxhash" if value == "xxhash2" else value


_SPELLINGS: Final[Mapping[str, Callable[[object], object]]] = MappingProxyType(
    {
        "access": _access,
        "features": _features,
        "checksum.type": _checksum_type,
        "backend_bck.provider": lambda value: provider_of(str(value)) if value else "",
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
    """The whole tree as JSON's objects, defaults included."""
    nested: dict[str, object] = {}
    for name in tree.__struct_fields__:
        value = getattr(tree, name)
        nested[name] = msgspec.to_builtins(value)
    return nested
