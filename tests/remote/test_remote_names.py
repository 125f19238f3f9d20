"""How a remote's buckets become known here, and how they are let go of again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from aistore.sdk.authn.access_attr import AccessAttr
from botocore.exceptions import ClientError

from tests.ais.test_authn import PASSWORD, Authn
from tests.cli.ais.command import Ais
from tests.remote.conftest import Pair, credentials, new_name
from tidegate.testing import Server, serve

OUTSIDE, PRESENT, EVERYWHERE = "5", "2", "0"


@pytest.fixture(scope="module")
def near(theirs: Server) -> Iterator[Pair]:
    """A server to which the remote is what Amazon is to others: no bucket needs an endpoint of its own."""
    with ExitStack() as stack:
        with credentials(theirs), pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", f"{theirs.url}/s3")
            ours = stack.enter_context(serve(repos_port=None, workers=2))
        yield Pair(ours, theirs, stack)


@pytest.fixture
def unseen(near: Pair) -> str:
    """A bucket of the remote's that nobody has named here."""
    name = new_name()
    near.s3_there.create_bucket(Bucket=name)
    near.s3_there.put_object(Bucket=name, Key="key", Body=b"theirs")
    return name


def names(pair: Pair, presence: str | None, provider: str = "aws") -> set[str]:
    """The buckets that a native listing shows."""
    query = {} if presence is None else {"presence": presence}
    return {each["name"] for each in pair.act("GET", "", "list", provider=provider, **query).json()}


# --- first use -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("use", ["list", "head", "read", "describe", "write", "upload"])
def test_a_bucket_appears_on_first_use(near: Pair, unseen: str, use: str) -> None:
    """Whatever is first done with it by its URI makes it known, to S3 clients too; before, they do not know it."""
    url = f"{near.ours.url}/v1"
    there = {"provider": "aws"}
    with pytest.raises(ClientError) as caught:
        near.s3.get_object(Bucket=unseen, Key="key")
    assert caught.value.response["Error"]["Code"] == "NoSuchBucket"
    answer = {
        "list": lambda: near.act("GET", unseen, "list"),
        "head": lambda: near.http.head(f"{url}/buckets/{unseen}", params=there),
        "read": lambda: near.http.get(f"{url}/objects/{unseen}/key", params=there),
        "describe": lambda: near.http.head(f"{url}/objects/{unseen}/key", params=there),
        "write": lambda: near.http.put(f"{url}/objects/{unseen}/new", params=there, data=b"new"),
        "upload": lambda: near.http.post(f"{url}/objects/{unseen}/new", params=there, json={"action": "mpt-upload"}),
    }[use]()
    assert answer.status_code == 200, answer.text
    assert unseen in names(near, PRESENT)
    assert near.s3.get_object(Bucket=unseen, Key="key")["Body"].read() == b"theirs"


def test_the_command_line_finds_what_nobody_has_named(near: Pair, unseen: str, tmp_path: Path) -> None:
    """``ais ls s3:`` shows what is known here, with ``--all`` what the provider has; --skip-lookup asks nobody."""
    ais = Ais(near.ours, tmp_path, {"HOME": str(tmp_path)})
    assert f"aws://{unseen}" not in ais("ls", "s3:").output.split()
    assert f"aws://{unseen}" in ais("ls", "s3:", "--all").output.split()
    nowhere = new_name()
    assert ais.fails("create", f"s3://{nowhere}")
    ais("bucket", "create", f"s3://{nowhere}", "--skip-lookup")
    assert f"aws://{nowhere}" in ais("ls", "s3:").output.split()


def test_many_may_be_the_first(near: Pair, unseen: str) -> None:
    """Of many first uses at once each succeeds, and there is one bucket."""
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: near.act("GET", unseen, "list"), range(16)))
    assert [answer.status_code for answer in answers] == [200] * 16
    assert [each["name"] for each in near.act("GET", "", "list").json()].count(unseen) == 1


def test_what_is_not_there_does_not_appear(near: Pair) -> None:
    """A bucket that the remote has not is missing, in words that AIStore's client understands; nothing is made."""
    name = new_name()
    for action, method in (("list", "GET"), ("create-bck", "POST")):
        answer = near.act(method, name, action)
        assert answer.status_code == 404
        assert f"s3://{name} does not exist" in answer.text
    assert name not in names(near, PRESENT)
    assert near.act("POST", name, "create-bck", dont_head_remote_bck="true").status_code == 200
    assert name in names(near, PRESENT)
    assert near.act("GET", name, "list").status_code == 404


def test_a_look_is_no_use(near: Pair, unseen: str) -> None:
    """Who asks only for what is known, or wants nothing made known, is told that it is not."""
    url = f"{near.ours.url}/v1/buckets/{unseen}"
    for query in ({"presence": PRESENT}, {"dont_add_remote_bck_md": "true"}):
        assert near.http.head(url, params={"provider": "aws", **query}).status_code == 404
    assert near.act("DELETE", unseen, "evict-remote-bck").status_code == 404
    assert near.act("DELETE", unseen, "destroy-bck").status_code == 404
    assert unseen not in names(near, PRESENT)


def test_those_not_used_yet_are_listed_on_demand(near: Pair, unseen: str) -> None:
    """What is listed by itself is what is known; the remote is asked where the client wants all there is."""
    used = near.create(new_name())
    assert (used in names(near, None), unseen in names(near, None)) == (True, False)
    assert (used in names(near, PRESENT), unseen in names(near, PRESENT)) == (True, False)
    assert {used, unseen} <= names(near, EVERYWHERE)
    assert (used in names(near, OUTSIDE), unseen in names(near, OUTSIDE)) == (False, True)
    assert unseen not in names(near, EVERYWHERE, "")  # without a provider nobody is asked


def test_a_bucket_is_evicted(near: Pair, unseen: str) -> None:
    """What is cached goes, and the name unless it is to be kept; the remote is not touched."""
    near.act("GET", unseen, "list")
    near.s3.get_object(Bucket=unseen, Key="key")["Body"].read()
    near.wait_until_cached(unseen, "key")
    assert near.act("DELETE", unseen, "evict-remote-bck", keep_bck_md="true").status_code == 200
    assert unseen in names(near, PRESENT)
    assert not near.is_cached(unseen, "key")
    assert near.act("DELETE", unseen, "evict-remote-bck").status_code == 200
    assert unseen not in names(near, PRESENT)
    assert near.there(unseen, "key") == b"theirs"


def test_another_endpoint_is_another_bucket(pair: Pair, bucket: str) -> None:
    """What was cached from one place is not shown as another's; other properties keep it."""
    pair.s3.put_object(Bucket=bucket, Key="key", Body=b"here")
    assert pair.act("PATCH", bucket, "set-bprops", {"checksum": {"type": "md5"}}).status_code == 200
    assert pair.is_cached(bucket, "key")
    with pair.between() as way:
        extra = {"extra": {"aws": {"endpoint": way.url}}}
        assert pair.act("PATCH", bucket, "set-bprops", extra).status_code == 200
        assert not pair.is_cached(bucket, "key")
        assert pair.s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"here"


# --- buckets of ours that show another one's content -----------------------------------------------------------------


def test_a_backend_bucket(near: Pair) -> None:
    """As in the guide: what either client puts into the bucket of ours is in the other provider's, and both list it."""
    ours, theirs = new_name(), new_name()
    near.s3_there.create_bucket(Bucket=theirs)
    near.s3.create_bucket(Bucket=ours)
    set_properties = ("PATCH", ours, "set-bprops")
    backend = {"backend_bck": f"aws://{theirs}"}
    assert near.act(*set_properties, backend, "ais").status_code == 200
    assert near.act(*set_properties, {"checksum": {"type": "md5"}}, "ais").status_code == 200
    content = b"x" * 71671
    near.sdk.bucket(ours).object("obj-ais").get_writer().put_content(content)
    near.s3.put_object(Bucket=ours, Key="obj-aws", Body=content)
    assert near.there(theirs, "obj-ais") == near.there(theirs, "obj-aws") == content
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    entries = near.listed(ours, "ais", props="name,checksum,size,atime")
    assert {key: (entry["checksum"], entry["size"]) for key, entry in entries.items()} == {
        "obj-ais": (md5, "71671"),
        "obj-aws": (md5, "71671"),
    }
    assert near.s3_there.head_object(Bucket=theirs, Key="obj-ais")["Metadata"]["x-amz-meta-ais-cksum-val"] == md5
    near.s3_there.put_object(Bucket=theirs, Key="theirs", Body=b"1")
    assert set(near.listed(ours, "ais")) == set(near.listed(theirs)) == {"obj-ais", "obj-aws", "theirs"}
    assert near.is_cached(ours, "obj-ais", "ais")
    assert not near.is_cached(theirs, "obj-ais")


def test_detaching_keeps_the_data(near: Pair) -> None:
    """What was cached is the bucket's own from then on, and the remote is not written to any more."""
    ours, theirs = new_name(), new_name()
    near.s3_there.create_bucket(Bucket=theirs)
    backend = {"backend_bck": f"aws://{theirs}"}
    near.s3.create_bucket(Bucket=ours)
    assert near.act("PATCH", ours, "set-bprops", backend, "ais").status_code == 200
    near.s3.put_object(Bucket=ours, Key="key", Body=b"both")
    near.s3_there.put_object(Bucket=theirs, Key="never read", Body=b"theirs")
    with pytest.raises(ClientError) as caught:
        near.s3.delete_bucket(Bucket=ours)
    assert caught.value.response["Error"]["Code"] == "BucketNotEmpty"
    assert near.act("PATCH", ours, "set-bprops", {"backend_bck": "none"}, "ais").status_code == 200
    assert set(near.listed(ours, "ais")) == {"key"}
    assert near.s3.get_object(Bucket=ours, Key="key")["Body"].read() == b"both"
    near.s3.put_object(Bucket=ours, Key="key", Body=b"ours")
    assert near.there(theirs, "key") == b"both"
    answer = near.act("PATCH", ours, "set-bprops", backend, "ais")
    assert answer.status_code == 400
    assert "only an empty one" in answer.text
    assert near.s3.get_object(Bucket=ours, Key="key")["Body"].read() == b"ours"


def test_a_backend_has_to_be_there(near: Pair) -> None:
    """A bucket cannot show one that the remote has not, nor one of ours; it stays what it was."""
    ours = new_name()
    near.s3.create_bucket(Bucket=ours)
    answer = near.act("PATCH", ours, "set-bprops", {"backend_bck": f"aws://{new_name()}"}, "ais")
    assert answer.status_code == 404
    near.s3.put_object(Bucket=ours, Key="key", Body=b"ours")
    assert set(near.listed(ours, "ais")) == {"key"}


# --- who may ---------------------------------------------------------------------------------------------------------


def test_the_servers_credentials_are_not_everybodys(theirs: Server) -> None:
    """Whose role lets them make buckets may bring one in; who has all rights to a bucket of ours may not, in no way."""
    with ExitStack() as stack:
        with credentials(theirs), pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", f"{theirs.url}/s3")
            patch.setenv("AIS_AUTHN_SU_PASS", PASSWORD)
            server = stack.enter_context(serve(auth=True, repos_port=None))
        authn = Authn(server, stack)
        there = theirs.boto3_client()
        stack.callback(there.close)
        name, own = new_name(), new_name()
        there.create_bucket(Bucket=name)
        there.put_object(Bucket=name, Key="key", Body=b"secret")
        authn.native(authn.token).bucket(own).create()
        permissions = (AccessAttr.GET, AccessAttr.PUT, AccessAttr.OBJ_LIST, AccessAttr.PATCH, AccessAttr.BCK_HEAD)
        token = authn.client(authn.user(authn.role(*permissions, bucket=own))).client.token
        where = {"provider": "aws"}

        def act(method: str, token: str, action: str, bucket: str = name, value: object = None, **query: str) -> int:
            message = {"action": action, "name": "", "value": value}
            return authn.request(method, f"/buckets/{bucket}", token, params=query, json=message).status_code

        assert act("GET", token, "list", own) == 200
        assert act("PATCH", token, "set-bprops", own, {"backend_bck": f"aws://{name}"}) == 403
        assert act("GET", token, "list", **where) == 403
        assert act("POST", token, "create-bck", dont_head_remote_bck="true", **where) == 403
        assert authn.request("GET", f"/objects/{name}/key", token, params=where).status_code == 403
        role = authn.role(AccessAttr.CREATE_BUCKET, AccessAttr.LIST_BUCKETS)
        creator = authn.client(authn.user(role)).client.token
        assert act("GET", creator, "list", **where) == 200
        assert authn.request("GET", f"/objects/{name}/key", creator, params=where).content == b"secret"
        assert authn.request("GET", f"/objects/{name}/key", token, params=where).status_code == 403
        assert act("PATCH", token, "set-bprops", own, {"backend_bck": f"aws://{name}"}) == 403
        assert theirs.secret_key not in server.log + server.output
