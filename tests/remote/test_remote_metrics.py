"""What ``/-/metrics`` tells of other providers: the sum of both workers, and no name of a bucket."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest
import requests

from tests.remote.conftest import Pair, credentials, new_name
from tests.upstream import faults
from tidegate.testing import Server, serve

DATA = bytes(range(256)) * 400
READS = 12
OBJECTS = 5
SECONDS = 60.0
_SAMPLE = re.compile(r"^tidegate_remote_(\w+)\{(.*)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'\w+="([^"]*)"')


@pytest.fixture
def fresh(theirs: Server) -> Iterator[Pair]:
    """A server that has counted nothing yet, with two workers."""
    with ExitStack() as stack:
        with credentials(theirs):
            ours = stack.enter_context(serve(repos_port=None, workers=2))
        yield Pair(ours, theirs, stack)


def scrape(pair: Pair) -> Mapping[str, float]:
    """The samples about remotes, by name and labels' values in order of the labels: ``reads_total aws warm``."""
    text = requests.get(f"{pair.ours.url}/-/metrics", timeout=SECONDS).text
    return {" ".join((name, *_LABEL.findall(labels))): float(value) for name, labels, value in _SAMPLE.findall(text)}


def counted(pair: Pair, expected: Mapping[str, float]) -> Mapping[str, float]:
    """The samples of these names when they are as expected, or as they stay: workers tell each other after a moment."""
    deadline = time.monotonic() + SECONDS / 6
    while True:
        shown = scrape(pair)
        found = {name: shown.get(name, 0.0) for name in expected}
        if found == expected or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def test_cold_and_warm_reads_are_told_by_provider(fresh: Pair) -> None:
    """Each read counts once, whichever worker has it; the remote's requests and bytes are those that it got."""
    with fresh.between() as way:
        bucket = fresh.create(new_name(), way.url)
        fresh.s3_there.put_object(Bucket=bucket, Key="key", Body=DATA)
        url = f"{fresh.ours.url}/{bucket}/key"
        assert requests.get(url, timeout=SECONDS).content == DATA
        fresh.wait_until_cached(bucket, "key")
        for _ in range(READS):  # over connections of their own, so that each worker gets some
            assert requests.get(url, timeout=SECONDS).content == DATA
        assert requests.head(url, timeout=SECONDS).ok  # no read
        fresh.s3.put_object(Bucket=bucket, Key="other", Body=DATA[:1000])
        gets = [seen for seen in way.seen if seen.method == "GET"]
    expected = {
        "reads_total aws cold": 1.0,
        "reads_total aws warm": float(READS),
        "requests_total GET aws": float(len(gets)),
        "first_byte_seconds_count aws": float(len(gets)),
        "requests_total PUT aws": 1.0,
        "written_bytes_total aws": 1000.0,
    }
    assert counted(fresh, expected) == expected
    assert scrape(fresh)["read_bytes_total aws"] > len(DATA)
    assert bucket not in requests.get(f"{fresh.ours.url}/-/metrics", timeout=SECONDS).text


def test_prefetched_objects_are_no_reads(fresh: Pair) -> None:
    """A job's requests reach the metrics without any request to its worker, and are no cold reads; what is read then is
    warm.
    """
    bucket = fresh.create(new_name())
    for number in range(OBJECTS):
        fresh.s3_there.put_object(Bucket=bucket, Key=f"key-{number}", Body=DATA)
    fresh.sdk.bucket(bucket, provider="aws").objects(obj_template=f"key-{{0..{OBJECTS - 1}}}").prefetch()
    for number in range(OBJECTS):
        fresh.wait_until_cached(bucket, f"key-{number}")
        assert requests.get(f"{fresh.ours.url}/{bucket}/key-{number}", timeout=SECONDS).content == DATA
    expected = {"reads_total aws cold": 0.0, "reads_total aws warm": float(OBJECTS)}
    assert counted(fresh, expected) == expected
    assert scrape(fresh)["read_bytes_total aws"] >= OBJECTS * len(DATA)


def test_errors_are_told_by_kind(fresh: Pair) -> None:
    """Each attempt that came to nothing counts, also where the next one helped; a missing object is no error."""
    with fresh.between() as way:
        bucket = fresh.create(new_name(), way.url)
        fresh.s3_there.put_object(Bucket=bucket, Key="key", Body=DATA)
        url = f"{fresh.ours.url}/{bucket}"
        assert requests.get(f"{url}/missing", timeout=SECONDS).status_code == 404
        way.plan = [faults.status(503), faults.status(500), faults.lose, faults.cut(1000)]
        assert requests.get(f"{url}/key", timeout=SECONDS).content == DATA
        way.plan = [faults.status(403)]
        assert requests.get(f"{url}/denied", timeout=SECONDS).status_code == 403
        assert requests.get(f"{url}/again", timeout=SECONDS).status_code == 404
    expected = {f"errors_total {kind} aws": 1.0 for kind in ("busy", "failed", "denied")}
    expected |= {"errors_total lost aws": 2.0, "errors_total refused aws": 0.0, "errors_total damaged aws": 0.0}
    assert counted(fresh, expected) == expected


def test_damage_is_an_error(fresh: Pair) -> None:
    """Bytes that have not the checksum that the remote promised count as damaged."""
    with fresh.between() as way:
        bucket = fresh.create(new_name(), way.url)
        fresh.s3_there.put_object(Bucket=bucket, Key="key", Body=DATA)
        way.plan = [faults.damage(5)]
        with pytest.raises(requests.exceptions.RequestException):
            requests.get(f"{fresh.ours.url}/{bucket}/key", timeout=SECONDS).raise_for_status()
    expected = {"errors_total damaged aws": 1.0, "errors_total lost aws": 0.0}
    assert counted(fresh, expected) == expected
