"""Jobs over the native API: those of AIStore's SDK that work on many objects, and how they are watched and stopped."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aistore.sdk import Bucket, Client
from aistore.sdk.errors import AISError, ErrBckNotFound, JobInfoNotFound

from tests.ais.conftest import MakeBucket, Wait, new_name
from tests.ais.helpers import WAIT_SECONDS, act, contents, fill, finish
from tidegate.testing import ServerProcess

KINDS_NOT_DONE = ("rebalance", "resilver", "dsort", "download", "ec-encode", "rechunk", "load-lom-cache", "nonsense")


def is_gone(bucket: Bucket) -> bool:
    """Whether there is no such bucket."""
    with pytest.raises(AISError) as caught:
        bucket.head()
    return caught.value.status_code == 404


# --- copying and renaming --------------------------------------------------------------------------------------------


def test_bucket_is_copied(bucket: Bucket, make_bucket: MakeBucket, wait: Wait) -> None:
    """A copy has every object with its bytes and custom properties, and the source keeps its own."""
    expected = fill(bucket, "a", "b/c", "ä")
    bucket.object("a").get_writer().set_custom_props({"color": "blue"})
    other = make_bucket()
    assert wait(bucket.copy(other))
    assert contents(other) == contents(bucket) == expected
    assert other.object("a").props.custom_metadata["color"] == "blue"


def test_bucket_that_is_not_there_is_made_by_a_copy(bucket: Bucket, client: Client, wait: Wait) -> None:
    """The destination begins with the source's properties."""
    fill(bucket, "a")
    bucket.client.request(
        "patch",
        path=f"buckets/{bucket.name}",
        params=bucket.qparam,
        json={"action": "set-bprops", "value": {"checksum": {"type": "md5"}}},
    )
    other = client.bucket(new_name())
    assert wait(bucket.copy(other))
    assert json.loads(other.head()["Ais-Bucket-Props"])["checksum"]["type"] == "md5"
    assert list(contents(other)) == ["a"]


def test_copy_can_select_and_rename(bucket: Bucket, make_bucket: MakeBucket, wait: Wait) -> None:
    """A prefix selects; an extension is replaced where it is the last; what is prepended comes first."""
    fill(bucket, "x/1.jpg", "x/jpg", "x/2.jpg.png", "y/3.jpg")
    other = make_bucket()
    assert wait(bucket.copy(other, prefix_filter="x/", prepend="new-", ext={"jpg": "txt"}))
    assert set(contents(other)) == {"new-x/1.txt", "new-x/jpg", "new-x/2.jpg.png"}


def test_dry_run_copies_nothing_and_counts(bucket: Bucket, client: Client, wait: Wait) -> None:
    """It tells what a copy would be, and makes not even the bucket."""
    fill(bucket, "a", "b")
    other = client.bucket(new_name())
    job = bucket.copy(other, dry_run=True)
    assert wait(job)
    (snapshot,) = client.job(job).get_details().list_snapshots()
    assert snapshot.stats is not None
    assert snapshot.stats.objects == 2
    assert is_gone(other)


def test_copy_replaces_what_is_there(bucket: Bucket, make_bucket: MakeBucket, wait: Wait) -> None:
    """An object of the same name is overwritten, others stay."""
    fill(bucket, "a")
    other = make_bucket()
    other.object("a").get_writer().put_content(b"older")
    other.object("b").get_writer().put_content(b"kept")
    assert wait(bucket.copy(other))
    assert contents(other) == {**contents(bucket), "b": b"kept"}


def test_bucket_is_not_copied_onto_itself(bucket: Bucket) -> None:
    """That would do nothing, or never end."""
    with pytest.raises(AISError, match="onto itself"):
        bucket.copy(bucket)


def test_bucket_that_is_not_there_cannot_be_copied(client: Client, make_bucket: MakeBucket) -> None:
    """The error names the bucket, as the SDK needs it."""
    with pytest.raises(ErrBckNotFound):
        client.bucket(new_name()).copy(make_bucket())


def test_renaming_is_over_at_once(bucket: Bucket, client: Client) -> None:
    """A rename answers with a job that has ended, and the objects are where the new name is."""
    expected = fill(bucket, "a", "b")
    old, new = bucket.name, new_name()
    job = client.job(bucket.rename(new))
    assert job.status().end_time > 0
    assert finish(job)
    assert contents(client.bucket(new)) == expected
    assert is_gone(client.bucket(old))


# --- groups of objects -----------------------------------------------------------------------------------------------


def test_group_is_copied(bucket: Bucket, make_bucket: MakeBucket, wait: Wait) -> None:
    """Of a template the names that are there are copied."""
    fill(bucket, "o-01", "o-03", "o-04", "p-01")
    other = make_bucket()
    (job,) = bucket.objects(obj_template="o-{00..10..1}").copy(other, prepend="c/")
    assert wait(job)
    assert set(contents(other)) == {"c/o-01", "c/o-03", "c/o-04"}


def test_template_without_braces_is_a_prefix(bucket: Bucket, make_bucket: MakeBucket, wait: Wait) -> None:
    """As in AIStore."""
    fill(bucket, "o-1", "o-2", "p-1")
    other = make_bucket()
    (job,) = bucket.objects(obj_template="o-").copy(other)
    assert wait(job)
    assert set(contents(other)) == {"o-1", "o-2"}


def test_copies_beside_the_originals_are_not_copied_again(bucket: Bucket, wait: Wait) -> None:
    """A bucket's prefix copied within the bucket ends, though each copy has the prefix too."""
    fill(bucket, "a1", "a2")
    (job,) = bucket.objects(obj_template="a").copy(bucket, prepend="a/")
    assert wait(job)
    assert set(contents(bucket)) == {"a1", "a2", "a/a1", "a/a2"}


def test_name_that_is_not_there_ends_a_copy(bucket: Bucket, client: Client, make_bucket: MakeBucket) -> None:
    """The job fails and says which object it was; what came before it stays copied."""
    fill(bucket, "a", "c")
    other = make_bucket()
    (job,) = bucket.objects(obj_names=["a", "missing", "c"]).copy(other)
    result = finish(client.job(job))
    assert not result
    assert f"ais://{bucket.name}/missing" in (result.error or "")
    assert set(contents(other)) == {"a"}


def test_copy_goes_on_over_errors_if_it_shall(bucket: Bucket, client: Client, make_bucket: MakeBucket) -> None:
    """The rest is copied, and the status tells of what was not."""
    fill(bucket, "a", "c")
    other = make_bucket()
    (job,) = bucket.objects(obj_names=["a", "missing", "c"]).copy(other, continue_on_error=True)
    finish(client.job(job))
    assert set(contents(other)) == {"a", "c"}
    status = client.job(job).status()
    assert "1 of the objects failed" in status.err
    assert not status.aborted


def test_group_is_deleted(bucket: Bucket, wait: Wait) -> None:
    """Names, ranges and prefixes delete what they select, and what is not there is no error."""
    fill(bucket, "a", "b", "n-1", "n-2", "n-3", "p/1", "p/2", "rest")
    assert wait(bucket.objects(obj_names=["a", "b", "missing"]).delete())
    assert wait(bucket.objects(obj_template="n-{1..2}").delete())
    assert wait(bucket.objects(obj_template="p/").delete())
    assert set(contents(bucket)) == {"n-3", "rest"}


def test_group_of_our_own_has_nothing_to_evict(bucket: Bucket, server: ServerProcess) -> None:
    """Eviction and prefetching are for what somebody else keeps; what is only here is never dropped."""
    fill(bucket, "a")
    for method, action in (("DELETE", "evict-listrange"), ("POST", "prefetch-listrange")):
        answer = act(server, method, bucket.name, action, {"objnames": ["a"]}, provider="ais")
        assert answer.status_code == 400, answer.text
        assert "nothing to" in answer.json()["message"]
    assert set(contents(bucket)) == {"a"}


def test_what_another_provider_keeps_is_not_implemented(client: Client, server: ServerProcess) -> None:
    """An archive in a bucket of a cloud is refused in so many words."""
    name = new_name()
    act(server, "POST", name, "create-bck", provider="aws", dont_head_remote_bck="true").raise_for_status()
    cloud = client.bucket(name, provider="aws")
    group = cloud.objects(obj_names=["a"])
    with pytest.raises(AISError) as caught:
        group.archive("a.tar")
    assert caught.value.status_code == 501


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"objnames": []},
        {"objnames": ["a"], "template": "b"},
        {"objnames": [""]},
        {"objnames": ["x" * 1025]},
        {"template": "a-{5..1}"},
        {"template": "a-{1..2"},
        {"template": "a-{1..2..0}"},
        {"template": "a-{0..99999999999}"},
        {"template": "{0..999}" * 11},
        {"objnames": "a"},
        "text",
        None,
    ],
)
def test_bad_selections_are_refused(bucket: Bucket, server: ServerProcess, value: Any) -> None:
    """They are an error of the client's, and nothing is deleted."""
    fill(bucket, "a")
    answer = act(server, "DELETE", bucket.name, "delete-listrange", value, provider="ais")
    assert answer.status_code == 400, answer.text
    assert set(contents(bucket)) == {"a"}


# --- jobs themselves -------------------------------------------------------------------------------------------------


def test_jobs_are_listed_with_what_they_did(
    bucket: Bucket, client: Client, make_bucket: MakeBucket, wait: Wait
) -> None:
    """Status, progress, the time that it took, and a place among all jobs."""
    begun = datetime.now(UTC) - timedelta(seconds=1)
    expected = fill(bucket, "a", "b")
    other = make_bucket()
    job = client.job(bucket.copy(other), "copy-bck")
    assert wait(job.job_id)
    status = job.status()
    assert (status.uuid, status.err, status.aborted) == (job.job_id, "", False)
    assert status.end_time > 0
    (snapshot,) = job.get_details().list_snapshots()
    assert snapshot.kind == "copy-bck"
    assert snapshot.stats is not None
    assert (snapshot.stats.objects, snapshot.stats.bytes) == (2, sum(map(len, expected.values())))
    assert snapshot.source_bck is not None
    assert snapshot.destination_bck is not None
    assert (snapshot.source_bck.name, snapshot.destination_bck.name) == (bucket.name, other.name)
    total = job.get_total_time()
    assert total is not None
    assert total >= timedelta(0)
    assert job.job_id in [each.id for each in job.get_within_timeframe(begun, datetime.now(UTC))]
    with pytest.raises(JobInfoNotFound):
        job.get_within_timeframe(datetime.now(UTC) + timedelta(hours=1))
    assert job.job_id in [each.uuid for each in client.cluster().list_jobs_status("copy-bck")]
    assert job.job_id not in [each.uuid for each in client.cluster().list_jobs_status("archive")]
    assert job.job_id not in str(client.cluster().list_running_jobs())


def test_kinds_that_need_no_more_are_started_by_name(client: Client) -> None:
    """As the SDK's own examples do: evicting what is least used, and cleaning up."""
    for kind in ("lru", "cleanup-store"):
        job = client.job(client.job(job_kind=kind).start())
        assert finish(job)
        assert job.wait_for_idle(timeout=WAIT_SECONDS, verbose=False)
        assert job.wait_single_node(timeout=WAIT_SECONDS, verbose=False)
        assert job.status().end_time > 0


@pytest.mark.parametrize("kind", KINDS_NOT_DONE)
def test_kinds_that_we_do_not_do_say_so(client: Client, kind: str) -> None:
    """501 with a sentence, never a job that does nothing."""
    with pytest.raises(AISError, match=r"not implemented|no cache") as caught:
        client.job(job_kind=kind).start()
    assert caught.value.status_code == 501


def test_job_that_is_not_there(client: Client) -> None:
    """It has no status and cannot be stopped; nobody waits for it forever."""
    job = client.job("nosuchjob")
    for ask in (job.status, job.abort):
        with pytest.raises(AISError) as caught:
            ask()
        assert caught.value.status_code == 404
    with pytest.raises(JobInfoNotFound):
        job.wait(timeout=WAIT_SECONDS)


def test_job_that_has_ended_is_not_stopped(bucket: Bucket, client: Client, make_bucket: MakeBucket, wait: Wait) -> None:
    """What is done stays done."""
    job = bucket.copy(make_bucket())
    assert wait(job)
    client.job(job).abort()
    assert not client.job(job).status().aborted
