"""The three lists of tests, and what a run says about them.

A list is a text file with a test a line, ``test_s3.py::test_name``. What follows a ``#`` is a remark; for an excluded
test it is the reason, and has to be there. The list of excluded tests may also name a whole file, ``test_sts.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

_HERE = Path(__file__).parent
PASSING = _HERE / "passing.txt"
PLANNED = _HERE / "planned.txt"
EXCLUDED = _HERE / "excluded.txt"


class ListError(Exception):
    """A list that contradicts itself or another."""


class Lists(msgspec.Struct, frozen=True):
    """The tests with their remarks."""

    passing: Mapping[str, str]
    planned: Mapping[str, str]
    excluded: Mapping[str, str]


class Run(msgspec.Struct, frozen=True):
    """What came of a run.

    ``files`` and ``tests`` are all that the suite has, ``selected`` the tests that were to be run. ``failed`` are those
    that did not pass, with their tracebacks; skipped ones are among them.
    """

    files: Sequence[str]
    tests: Sequence[str]
    selected: Sequence[str]
    passed: frozenset[str]
    failed: Mapping[str, str]


def load() -> Lists:
    """Reads the lists. Raises ListError where a test is in two of them, or excluded without a reason."""
    lists = Lists(_read(PASSING), _read(PLANNED), _read(EXCLUDED))
    for test, reason in lists.excluded.items():
        if not reason:
            raise ListError(f"{EXCLUDED.name}: {test} has no reason")
    for test in lists.planned:
        if test in lists.passing:
            raise ListError(f"{PLANNED.name}: {test} is in {PASSING.name} too")
    for path, tests in ((PASSING, lists.passing), (PLANNED, lists.planned)):
        for test in tests:
            if not lists.excluded.keys().isdisjoint({test, test.partition("::")[0]}):
                raise ListError(f"{path.name}: {test} is excluded")
    return lists


def _read(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        test, _, remark = line.partition("#")
        if test := test.strip():
            if test in found:
                raise ListError(f"{path.name}: {test} is there twice")
            found[test] = remark.strip()
    return found


def differences(lists: Lists, run: Run) -> Sequence[str]:
    """Where the lists are not what the run found, a line each."""
    there = {*run.files, *run.tests}
    found = [
        f"{path.name}: {test} does not exist"
        for path, tests in ((PASSING, lists.passing), (PLANNED, lists.planned), (EXCLUDED, lists.excluded))
        for test in tests
        if test not in there
    ]
    for test in run.selected:
        if test not in lists.passing and test not in lists.planned:
            found.append(f"{test} is in no list")
        elif test in lists.passing and test in run.failed:
            found.append(f"{PASSING.name}: {test} does not pass")
        elif test in lists.planned and test in run.passed:
            found.append(f"{PLANNED.name}: {test} passes")
        elif test not in run.passed and test not in run.failed:
            found.append(f"{test} did not come to its end")
    return found


def update(lists: Lists, run: Run) -> None:
    """Writes passing and planned anew, in the suite's order. What was not run stays where it is, and so do remarks."""
    there = [test for test in run.tests if test not in lists.excluded]
    passing = [test for test in there if test in run.passed or (test in lists.passing and test not in run.failed)]
    planned = [test for test in there if test in run.failed or (test in lists.planned and test not in run.passed)]
    _write(PASSING, passing, lists.passing)
    _write(PLANNED, planned, lists.planned)


def _write(path: Path, tests: Sequence[str], remarks: Mapping[str, str]) -> None:
    lines = [f"{test}  # {remarks[test]}" if remarks.get(test) else test for test in tests]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
