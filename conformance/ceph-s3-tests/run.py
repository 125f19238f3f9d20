"""Run ceph/s3-tests against a fresh Tidegate, and compare what passes with the lists beside this file.

    run.py DIR                  all of it; exit 1 where a list is not what was found
    run.py DIR -k multipart     some of it
    run.py DIR --update         write passing.txt and planned.txt from what was found

DIR is a checkout of the suite at the revision that README.md names.
"""

from __future__ import annotations

import argparse
import asyncio
import configparser
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import lists
import msgspec
import recorder
from lists import ListError, Lists, Run

from tidegate.gateway import open_gateway
from tidegate.settings import Settings
from tidegate.testing import serve

REPOSITORY = "https://github.com/ceph/s3-tests"
REVISION = "8f0ae7b404a3a2fcf7038bf1e6bf29544fe9b6a3"  # of 7 May 2026
TESTS = Path("s3tests", "functional")

# The sections of the suite's configuration that are users. It reads them all, whichever tests are run.
SECTIONS = ("s3 main", "s3 alt", "s3 tenant", "iam", "iam root", "iam alt root")
STORAGE_CLASSES = "STANDARD_IA"  # beside STANDARD, separated by commas: some tests come once for each pair of classes
LOCATION = "eu-central-1"  # a location that the suite gives a bucket
TEST_SECONDS = 120  # what takes longer hangs
PROCESSES = 2
WRONG_USAGE = 2
PYTEST_ENDED = (0, 1)  # exit codes of a run that came to its end: all passed, some failed


class CheckoutError(Exception):
    """The folder is no checkout of the suite, or one of another revision."""


class User(msgspec.Struct, frozen=True):
    """A user of the server, made for a section of the suite's configuration."""

    name: str
    id: str
    access_key: str
    secret_key: str


def main() -> int:
    """Runs the suite; 0 if every list is what was found."""
    options = _options()
    try:
        _check_revision(options.checkout)
        known = lists.load()
    except (CheckoutError, ListError) as error:
        print(error, file=sys.stderr)
        return WRONG_USAGE
    files = sorted(path.name for path in (options.checkout / TESTS).glob("test_*.py"))
    wanted = [name for name in files if name not in known.excluded]
    with tempfile.TemporaryDirectory(prefix="tidegate-s3-tests-") as name:
        folder, data = recorder.Folder(Path(name)), Path(name, "data")
        folder.write_names("excluded", known.excluded)
        folder.write_names("planned", known.planned)
        workers = recorder.worker_names(options.processes)
        users = asyncio.run(_make_users(data, workers))
        with serve(data, auth=True, log_level="error") as server:
            for worker in workers:
                _write_configuration(folder.configuration(worker), server.port, users[worker])
            exit_code = _run_pytest(options, wanted, name)
            log = server.log
        if exit_code not in PYTEST_ENDED:
            print(f"pytest ended with exit code {exit_code}: nothing is compared", file=sys.stderr)
            return 1
        outcomes = folder.outcomes()
        run = Run(
            files,
            folder.names("collected"),
            folder.names("selected"),
            frozenset(each.test for each in outcomes if each.outcome == "passed"),
            {each.test: each.text for each in outcomes if each.outcome != "passed"},
        )
    if options.update:
        lists.update(known, run)
        known = lists.load()
    return _report(known, run, log, tracebacks=options.verbose)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, metavar="DIR", help="a checkout of ceph/s3-tests")
    parser.add_argument("-k", dest="expression", metavar="EXPR", help="run only the tests that match, as with pytest")
    parser.add_argument("-n", dest="processes", type=int, default=PROCESSES, help=f"how many at a time ({PROCESSES})")
    parser.add_argument("-v", dest="verbose", action="store_true", help="print how each test failed")
    parser.add_argument("--update", action="store_true", help="write passing.txt and planned.txt from this run")
    return parser.parse_args()


def _check_revision(checkout: Path) -> None:
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    how = f"\n    git clone {REPOSITORY} {checkout}\n    git -C {checkout} checkout {REVISION}"
    if asked.returncode or not (checkout / TESTS).is_dir():
        raise CheckoutError(f"{checkout} is no checkout of ceph/s3-tests. To make one:{how}")
    if asked.stdout.strip() != REVISION:
        raise CheckoutError(f"{checkout} is at another revision than the lists:{how}")


async def _make_users(data: Path, workers: Sequence[str]) -> Mapping[str, Mapping[str, User]]:
    """Plain users with a key each, for each worker process one a section."""
    gateway = open_gateway(data, inline_limit=Settings().inline_limit)
    made: dict[str, dict[str, User]] = {worker: {} for worker in workers}
    for worker, users in made.items():
        for section in SECTIONS:
            user = await gateway.identity.add_user(f"{section.replace(' ', '-')}-{worker}")
            key = await gateway.identity.add_key(user.name)
            users[section] = User(user.name, user.id, key.access_key, key.secret_key)
    await gateway.close()
    return made


def _write_configuration(path: Path, port: int, users: Mapping[str, User]) -> None:
    suite = configparser.RawConfigParser()
    suite["DEFAULT"] = {"host": "localhost", "port": str(port), "is_secure": "False", "ssl_verify": "False"}
    suite["fixtures"] = {"bucket prefix": f"s3-tests-{secrets.token_hex(3)}-{{random}}-"}
    for section, user in users.items():
        suite[section] = {
            "user_id": user.id,
            "display_name": user.name,
            "email": f"{user.name}@example.com",
            "access_key": user.access_key,
            "secret_key": user.secret_key,
        }
    suite["s3 main"].update(storage_classes=STORAGE_CLASSES, api_name=LOCATION)
    suite["s3 tenant"]["tenant"] = "tenant"
    with path.open("w", encoding="utf-8") as file:
        suite.write(file)


def _run_pytest(options: argparse.Namespace, files: Sequence[str], folder: str) -> int:
    """Runs the suite's files with its own pytest.ini. Returns pytest's exit code."""
    command = [sys.executable, "-m", "pytest", "-p", "recorder", "-p", "no:cacheprovider", "-p", "no:tidegate"]
    command += ["-q", "--no-header", "--tb=no", "--no-summary", f"--timeout={TEST_SECONDS}"]
    if options.processes > 1:
        command += ["-n", str(options.processes)]
    if options.expression:
        command += ["-k", options.expression]
    command += [str(TESTS / name) for name in files]
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTEST_"))}
    paths = [str(Path(__file__).resolve().parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables |= {
        recorder.FOLDER_VARIABLE: folder,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONDONTWRITEBYTECODE": "1",  # the checkout stays as it is
        "AWS_EC2_METADATA_DISABLED": "true",
        "BOTO_DISABLE_CRT": "true",  # the suite hands over headers and bodies that only botocore's own code takes
    }
    return subprocess.run(command, cwd=options.checkout, env=variables, check=False).returncode


def _report(known: Lists, run: Run, log: str, *, tracebacks: bool) -> int:
    """Prints what was found, and returns the exit code."""
    found = lists.differences(known, run)
    if tracebacks:
        for test, text in run.failed.items():
            print(f"\n--- {test}\n{text}")
    print(
        f"{len(run.passed)} passed, {len(run.failed)} did not; "
        f"listed: {len(known.passing)} passing, {len(known.planned)} planned, {len(known.excluded)} excluded"
    )
    for line in found:
        print(line)
    if log:
        print(f"the server logged errors:\n{log}")
    return 1 if found or log else 0


if __name__ == "__main__":
    sys.exit(main())
