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
    "test_disclosure": 9,
    "test_every_operation": 2,
    "test_fabricated_signatures": 7,
    "test_information_before_authorisation": 9,
    "test_multipart_confusion": 9,
    "test_numbers": 13,
    "test_old_signatures": 9,
    "test_paths": 10,
    "test_presigned_urls": 13,
    "test_protocol_confusion": 12,
    "test_replayed_requests": 8,
    "test_server_side_requests": 12,
    "test_session_rights": 10,
    "test_tokens": 10,
    "test_unknown_subresources": 9,
    "test_versions_and_batches": 5,
    "test_xml_documents": 6,
}

# The groups of attacks that are guarded here, each by a module of its own.
GROUPS = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 16, 18, 21, 22, 24, 26}

# Advisories about other servers, each with a test that bears its name.
ADVISORIES = {
    "cve_2021_21287",  # a request to an address that a client named
    "cve_2022_47950",  # external entities in S3's documents
    "cve_2023_28432",  # the environment, told to whoever asked
    "cve_2024_24747",  # an account that made itself an administrator
    "cve_2024_36107",  # conditions evaluated before authorisation
    "cve_2024_43784",  # keys of a user who was removed, back under a new one of the name
    "cve_2024_55949",  # accounts imported by who may not make any
    "cve_2025_31489",  # a fabricated signature and an unsigned streaming body
    "cve_2025_62506",  # a session that made accounts with more rights than its own
    "cve_2025_62727",  # quadratic work for a Range header
    "cve_2025_64179",  # metrics told to whoever asked
    "cve_2025_68671",  # old dates in signatures
    "cve_2026_22797",  # headers by which clients said who they are
    "cve_2026_33322",  # a token's own header chose how it was verified
    "cve_2026_39360",  # a part copied from what may not be read
    "cve_2026_40344",  # the same through an archive upload
    "cve_2026_54917",  # one bucket in the path authorised, another read
    "cve_2026_73080",  # objects fetched from anywhere for anybody
    "ghsa_3ppv",  # a named version read with less than it takes
    "ghsa_gx4c",  # credentials that went along with a redirect
    "ghsa_5qfg",  # a token service that asked nobody who they are
    "ghsa_v2ch_c8v8_fgr7",  # malformed chunks
    "ghsa_x298",  # versions listed to who may not list
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
