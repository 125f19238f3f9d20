"""A bucket's properties in few lines, one a section: ``checksum  Type: md5 | Validate: ColdGET``.

Pure functions over the tree as the native API sends it; what a server does not send is not shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from tidegate import access, errors
from tidegate.cli.ais import text
from tidegate.names import BucketName
from tidegate.properties import features

Section = Mapping[str, object]

_VALIDATES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "validate_cold_get": "ColdGET",
        "validate_warm_get": "WarmGET",
        "validate_obj_move": "ObjectMove",
        "enable_read_range": "ReadRange",
    }
)


def lines(tree: Section) -> dict[str, object]:
    """The lines by name, sorted."""
    shown: dict[str, object] = {"present": "yes"}
    for name, of in tree.items():
        line = _LINES.get(name)
        if line is None:
            continue
        if told := line(of):
            shown[name] = told
    return dict(sorted(shown.items()))


def readable(flat: Section) -> dict[str, object]:
    """Properties by full name, with masks as names and times as times."""
    return {name: _READABLE[name](of) if name in _READABLE else of for name, of in flat.items()}


def permissions(mask: object) -> str:
    """``access`` as names."""
    try:
        return ",".join(access.names(access.parse(str(mask))))
    except errors.Error:
        return str(mask)


def flags(mask: object) -> str:
    """``features`` as names; ``-`` for none."""
    text_ = str(mask)
    return (",".join(features.names(int(text_))) if text_.isdigit() else text_) or text.NOTHING


def _section(of: object) -> Section:
    return of if isinstance(of, Mapping) else {}


def _checksum(of: object) -> str:
    section = _section(of)
    validated = [name for key, name in _VALIDATES.items() if section.get(key)]
    return f"Type: {section.get('type', '')} | Validate: {','.join(validated) or 'Nothing'}"


def _versioning(of: object) -> str:
    section = _section(of)
    if not section.get("enabled"):
        return "Disabled"
    return f"Enabled | Validate on WarmGET: {'yes' if section.get('validate_warm_get') else 'no'}"


def _mirror(of: object) -> str:
    section = _section(of)
    return f"{section.get('copies')} copies" if section.get("enabled") else "Disabled"


def _ec(of: object) -> str:
    section = _section(of)
    if not section.get("enabled"):
        return "Disabled"
    limit = section.get("objsize_limit")
    size = text.size(limit) if isinstance(limit, int) else limit
    return f"{section.get('data_slices')}:{section.get('parity_slices')} ({size})"


def _lru(of: object) -> str:
    section = _section(of)
    if not section.get("enabled"):
        return "Disabled"
    return f"Enabled | Keep at least: {section.get('dont_evict_time')} | Look every: {section.get('capacity_upd_time')}"


def _backend(of: object) -> str:
    section = _section(of)
    name, provider = str(section.get("name") or ""), str(section.get("provider") or "")
    return BucketName(name, provider).uri if name and provider else name


def _write_policy(of: object) -> str:
    section = _section(of)
    return f"Data: {section['data']} | Metadata: {section.get('md') or 'immediate'}" if section.get("data") else ""


_LINES: Final[Mapping[str, Callable[[object], str]]] = MappingProxyType(
    {
        "access": permissions,
        "backend_bck": _backend,
        "checksum": _checksum,
        "created": lambda of: text.rfc3339(str(of)),
        "ec": _ec,
        "features": lambda of: "" if str(of) == "0" else flags(of),
        "lru": _lru,
        "mirror": _mirror,
        "provider": str,
        "versioning": _versioning,
        "write_policy": _write_policy,
    }
)
_READABLE: Final[Mapping[str, Callable[[object], str]]] = MappingProxyType(
    {"access": permissions, "created": lambda of: text.rfc3339(str(of)), "features": flags}
)
