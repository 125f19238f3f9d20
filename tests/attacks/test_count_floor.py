"""A guard that is renamed, skipped or lost is noticed: each group of attacks keeps the tests that it has had."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent

# Tests a module, as of the last time that one was added. Raise a number with each new test; lower none.
FLOOR = {
    "test_any_request": 3,
    "test_canonical_form": 12,
    "test_chunked_bodies": 14,
    "test_copy_sources": 9,
    "test_every_operation": 2,
    "test_fabricated_signatures": 7,
    "test_multipart_confusion": 9,
    "test_numbers": 13,
    "test_old_signatures": 9,
    "test_paths": 10,
    "test_presigned_urls": 13,
    "test_replayed_requests": 8,
    "test_unknown_subresources": 9,
    "test_xml_documents": 6,
}

# The groups of attacks that are guarded here, each by a module of its own.
GROUPS = {1, 2, 3, 4, 5, 6, 11, 16, 18, 21, 22, 26}

# Advisories about other servers, each with a test that bears its name.
ADVISORIES = {
    "cve_2022_47950",  # external entities in S3's documents
    "cve_2025_31489",  # a fabricated signature and an unsigned streaming body
    "cve_2025_62727",  # quadratic work for a Range header
    "cve_2025_68671",  # old dates in signatures
    "cve_2026_39360",  # a part copied from what may not be read
    "cve_2026_40344",  # the same through an archive upload
    "cve_2026_54917",  # one bucket in the path authorised, another read
    "ghsa_v2ch_c8v8_fgr7",  # malformed chunks
}


def names(module: str) -> list[str]:
    """The tests of a module, without those that are never run."""
    functions = [
        node for node in ast.parse((HERE / f"{module}.py").read_text()).body if isinstance(node, ast.FunctionDef)
    ]
    return [
        function.name
        for function in functions
        if function.name.startswith("test_")
        and not any("skip" in (shown := ast.unparse(mark)) or "xfail" in shown for mark in function.decorator_list)
    ]


@pytest.mark.parametrize("module", FLOOR)
def test_no_guard_is_lost(module: str) -> None:
    """A module has no fewer tests than it has had, and no two of one name, of which only the last would run."""
    found = names(module)
    assert len(found) >= FLOOR[module]
    assert len(found) == len(set(found))


def test_every_module_has_a_floor() -> None:
    """A new module of attacks is counted from its first day on."""
    modules = {path.stem for path in HERE.glob("test_*.py")} - {Path(__file__).stem}
    assert modules == FLOOR.keys()


def test_every_group_has_its_module() -> None:
    """Each group of attacks is named by the module that guards against it."""
    texts = [ast.get_docstring(ast.parse(path.read_text())) or "" for path in HERE.glob("test_*.py")]
    assert {int(found[1]) for text in texts if (found := re.match(r"Group (\d+):", text))} == GROUPS


def test_every_advisory_has_its_test() -> None:
    """What has once been broken elsewhere is tested here under its own name."""
    everything = " ".join(name for module in FLOOR for name in names(module))
    assert {advisory for advisory in ADVISORIES if advisory not in everything} == set()
