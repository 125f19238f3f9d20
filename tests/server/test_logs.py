"""Log lines: one form for all of them, one line a request, and no secret in any."""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.wire import connect
from tidegate.telemetry import access, logs

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.server.conftest import StartStandin
    from tidegate.testing import ServerProcess


def lines(server: ServerProcess) -> list[dict[str, Any]]:
    """The access log so far, of a server that logs in JSON."""
    parsed = [json.loads(line) for line in server.log.splitlines()]
    return [line for line in parsed if line["logger"] == "tidegate.access"]


def test_access_log_has_one_line_a_request(start_standin: StartStandin) -> None:
    """As JSON: who asked, for what, what came of it, and how long it took."""
    server = start_standin(access_log=True, log_format="json")
    with connect(server.port) as connection:
        connection.send("GET /large/k%20ey?size=1000 HTTP/1.1\r\nHost: a\r\nUser-Agent: test/1 (x)\r\n\r\n")
        assert connection.answer()[0] == 200
        connection.send("GET /missing/x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.answer()[0] == 404
        connection.send("GET /x HTTP/1.1\r\n\r\n")
        assert connection.answer()[0] == 400
    server.stop()
    first, second, third = lines(server)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    assert first["milliseconds"] >= 0
    assert isinstance(first["process"], int)
    del first["time"], first["milliseconds"], first["process"]
    assert first == {
        "level": "info",
        "logger": "tidegate.access",
        "message": "request",
        "remote": "127.0.0.1",
        "request_id": "REQUEST1",
        "access_key": "AKIATEST",
        "operation": "Large",
        "method": "GET",
        "target": "/large/k%20ey?size=1000",
        "status": 200,
        "error": "-",
        "bytes": 1000,
        "agent": "test/1 (x)",
    }
    assert (second["status"], second["error"], second["agent"]) == (404, "NoSuchKey", "-")
    assert (third["status"], third["error"], third["operation"]) == (400, "BadRequest", "-")
    assert re.fullmatch("[0-9A-F]{16}", third["request_id"])


def test_access_log_as_text_is_names_and_values(start_standin: StartStandin) -> None:
    """As text: one line, values quoted where they are not one word, and no way to forge a second line."""
    server = start_standin(access_log=True)
    with connect(server.port) as connection:
        connection.send('GET /missing/x?a=%0Ab HTTP/1.1\r\nHost: a\r\nUser-Agent: a "b"\tc\xff status=200\r\n\r\n')
        assert connection.answer()[0] == 404
    server.stop()
    (line,) = server.log.splitlines()
    assert re.match(r"\d{4}-\d\d-\d\dT\S+Z INFO tidegate\.access\[\d+\] request remote=127\.0\.0\.1 ", line)
    assert " operation=Missing method=GET " in line
    assert ' target="/missing/x?a=%0Ab" status=404 error=NoSuchKey bytes=7 ' in line
    assert line.endswith(r'agent="a \"b\"\tc\\xff status=200"')


def test_a_client_that_leaves_is_logged_as_499(start_standin: StartStandin) -> None:
    """A request without an answer has nginx's status for it, not a success."""
    server = start_standin(access_log=True, log_format="json")
    with connect(server.port) as connection:
        connection.send("PUT /store/cut HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n12345")
    server.stop()
    (line,) = lines(server)
    assert (line["status"], line["bytes"]) == (499, 0)


def test_there_is_no_access_log_unless_asked_for(start_standin: StartStandin) -> None:
    """By default a server that has nothing to complain of writes nothing, whatever rubbish it is sent."""
    server = start_standin()
    with connect(server.port) as connection:
        connection.send("GET /missing/x HTTP/1.1\r\nHost: a\r\n\r\n", "rubbish\r\n\r\n")
        assert connection.answer()[0] == 404
        assert connection.is_closed()
    server.stop()
    assert server.log == ""


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_faults_are_logged_in_the_chosen_format(start_standin: StartStandin, log_format: str) -> None:
    """A traceback, of uvicorn's logger too, is part of a log line like any other."""
    server = start_standin(log_format=log_format)
    with connect(server.port) as connection:
        connection.send("GET /fail/x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.answer()[0] == 500
    server.stop()
    if log_format == "json":
        (line,) = [json.loads(line) for line in server.log.splitlines()]
        assert line["level"] == "error"
        assert line["exception"].endswith("RuntimeError: the door is broken")
    else:
        assert re.match(r"\S+Z ERROR ", server.log)
        assert server.log.endswith("RuntimeError: the door is broken\n")


def test_no_log_has_a_secret_or_a_signature(tidegate_factory: Callable[..., ServerProcess]) -> None:
    """With everything logged that can be, nothing in the log lets a reader make or repeat a request."""
    from botocore.config import Config
    from botocore.exceptions import ClientError

    server = tidegate_factory(auth=True, access_log=True, log_level="debug", log_format="json")
    secrets = {server.secret_key}

    def note(request: Any, **_: Any) -> None:
        secrets.update(
            re.findall(r"Signature=([0-9a-f]+)", request.headers.get("Authorization", b"").decode("latin-1"))
        )

    client = server.boto3_client()
    client.meta.events.register("before-send", note)
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="key", Body=b"body")
    wrong = server.boto3_client(aws_secret_access_key="not-the-secret-of-this-key")
    wrong.meta.events.register("before-send", note)
    with pytest.raises(ClientError):
        wrong.list_buckets()
    for version in ("s3v4", "s3"):
        signer = server.boto3_client(config=Config(signature_version=version))
        url = urlsplit(signer.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "key"}))
        query = parse_qs(url.query)
        (signature,) = query.get("X-Amz-Signature") or query["Signature"]
        secrets |= {signature, quote(signature, safe="")}
        with connect(server.port) as connection:
            for target in (f"{url.path}?{url.query}", f"{url.path}?{url.query.replace('Signature', '%53ignature')}"):
                connection.send(
                    f"GET {target}&X-Amz-Security-Token=TOKEN%2FTOKEN HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n"
                )
                connection.answer()
    secrets |= {"TOKEN", "not-the-secret-of-this-key"}
    server.stop()
    assert len(lines(server)) >= 7
    for secret in secrets:
        assert secret not in server.log


# --- redaction -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "redacted"),
    [
        (b"", b""),
        (b"a=b&c", b"a=b&c"),
        (b"X-Amz-Signature=abc", b"X-Amz-Signature=REDACTED"),
        (b"x-amz-SIGNATURE=abc&a=b", b"x-amz-SIGNATURE=REDACTED&a=b"),
        (b"a=b&Signature=x%2By&Expires=1", b"a=b&Signature=REDACTED&Expires=1"),
        (
            b"X-Amz-Credential=AKIA%2F2026&X-Amz-Security-Token=t",
            b"X-Amz-Credential=REDACTED&X-Amz-Security-Token=REDACTED",
        ),
        (b"AWSAccessKeyId=AKIA", b"AWSAccessKeyId=REDACTED"),
        (b"X%2DAmz-Signatur%65=abc", b"X%2DAmz-Signatur%65=REDACTED"),
        (b"+Signature=abc", b"+Signature=REDACTED"),
        (b"Signature=a=b&Signature", b"Signature=REDACTED&Signature=REDACTED"),
        (b"x=Signature", b"x=Signature"),
    ],
    ids=str,
)
def test_query_values_that_prove_who_asks_are_blotted_out(query: bytes, redacted: bytes) -> None:
    """However the name is spelt, the value is gone and everything else is as it was."""
    assert access.redact(query) == redacted


@given(
    before=st.lists(st.binary(max_size=20).filter(lambda part: b"&" not in part)),
    name=st.sampled_from(sorted(access.SECRET_PARAMETERS)),
    spelling=st.lists(st.integers(0, 2), min_size=32, max_size=32),
    after=st.lists(st.binary(max_size=20).filter(lambda part: b"&" not in part)),
)
def test_no_spelling_of_a_name_saves_its_value(
    before: list[bytes], name: bytes, spelling: list[int], after: list[bytes]
) -> None:
    """Case and percent-encoding of any letter, anywhere in the query, make no difference."""
    forms = (lambda c: bytes([c]), lambda c: bytes([c]).upper(), lambda c: b"%%%02x" % c)
    spelt = b"".join(forms[form](character) for form, character in zip(spelling, name, strict=False))
    query = b"&".join([*before, spelt + b"=TOPSECRET", *after])
    assert b"TOPSECRET" not in access.redact(query)


# --- formatters ------------------------------------------------------------------------------------------------------


def record(message: str, **fields: object) -> logging.LogRecord:
    """What the formatters get."""
    made = logging.LogRecord("tidegate.test", logging.INFO, __file__, 1, message, (), None)
    made.fields = fields
    return made


@given(st.text(), st.text())
def test_a_text_line_is_one_line(value: str, agent: str) -> None:
    """No value of a field can end a line or pretend to be another field."""
    line = logs.TextFormatter().format(record("request", value=value, agent=agent))
    assert line.isascii()
    assert line.isprintable()
    names = re.findall(r' (\w+)=(?:"(?:[^"\\]|\\.)*"|[^" ]+)', line.partition("] request")[2])
    assert names == ["value", "agent"]


@given(st.text(), st.text().filter(lambda text: not any("\ud800" <= character <= "\udfff" for character in text)))
def test_a_json_line_is_one_object(message: str, value: str) -> None:
    """Every line can be read back, and gives what was put in."""
    message = message.encode("utf-8", "replace").decode()
    line = logs.JSONFormatter().format(record(message.replace("%", "%%") % (), value=value))
    assert "\n" not in line
    parsed = json.loads(line)
    assert (parsed["message"], parsed["value"]) == (message, value)


def test_traceback_is_in_the_line() -> None:
    """An exception is told with its traceback, in both formats."""
    made = record("failed")
    try:
        raise RuntimeError("no")
    except RuntimeError:
        made.exc_info = sys.exc_info()
    assert logs.TextFormatter().format(made).endswith("RuntimeError: no")
    assert json.loads(logs.JSONFormatter().format(made))["exception"].endswith("RuntimeError: no")
