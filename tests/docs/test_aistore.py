"""docs/aistore.md tells of each property whether this system acts on it."""

from __future__ import annotations

import re
from pathlib import Path

from tidegate.properties import BucketProperties, Configuration, flatten
from tidegate.properties.change import why_not

TEXT = (Path(__file__).parents[2] / "docs" / "aistore.md").read_text(encoding="utf-8")
PROPERTIES = TEXT.partition("## Properties")[2].partition("\n## ")[0]
CAN, CANNOT = PROPERTIES.split("All others can be read.")

NAMES = set(flatten(BucketProperties())) | set(flatten(Configuration()))


def told(text: str) -> set[str]:
    """The properties and sections in the first column of a part's tables."""
    cells = re.findall(r"^\| (`[^|]+`) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def names_under(sections: set[str]) -> set[str]:
    """The properties that these names mean."""
    return {name for name in NAMES if any(f"{name}.".startswith(f"{section}.") for section in sections)}


def test_every_property_is_told_of() -> None:
    """Whatever can be set is in the first tables, and nothing else; whatever cannot be is in the last one."""
    acting = {name for name in NAMES if why_not(name) is None}
    assert names_under(told(CAN)) == acting
    assert names_under(told(CANNOT)) >= NAMES - acting


def test_every_name_exists() -> None:
    """No table tells of a property that is not there."""
    for name in told(CAN) | told(CANNOT):
        assert names_under({name}), name
