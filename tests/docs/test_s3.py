"""docs/s3.md tells what there is, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from tidegate.s3.operations import HANDLERS

TEXT = (Path(__file__).parents[2] / "docs" / "s3.md").read_text(encoding="utf-8")


def test_the_table_of_operations_is_complete() -> None:
    """Every operation that is implemented is in the table, and no other, in the alphabet's order."""
    told = re.findall(r"^\| ([A-Z]\w+) \|", TEXT, re.MULTILINE)
    assert told == sorted(HANDLERS, key=str.lower)
