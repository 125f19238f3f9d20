"""Who we are to Google and Azure: tokens are asked for, kept, put into requests, and never shown."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import json
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.upstream.remotes import AZURE_KEY, IMPATIENT, azurite, pieces, read, run
from tidegate import errors
from tidegate.properties.tree import ExtraGCP
from tidegate.upstream import azure_keys, google_tokens
from tidegate.upstream.azure import AzureContainer
from tidegate.upstream.google import GoogleBucket
from tidegate.upstream.wire import Origin, Request, Wire

TOKEN = "ya29.TOKENtokenTOKENtoken"


class Server(http.server.BaseHTTPRequestHandler):
    """Gives tokens, and writes down who asked how."""

    seen: list[tuple[str, Mapping[str, str], Mapping[str, list[str]]]]
    status = 200
    document: Mapping[str, Any]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.seen.append((self.path, dict(self.headers.items()), parse_qs(body.decode())))
        answer = json.dumps(self.document).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    """Where tokens are to be had."""
    Server.seen, Server.status = [], 200
    Server.document = {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{running.server_address[1]}"
    running.shutdown()
    running.server_close()
    thread.join()


@pytest.fixture(scope="module")
def key() -> RSAKey:
    """A service account's key."""
    return RSAKey.generate_key(2048)


def sign_google(environment: Mapping[str, str], path: str = "") -> Request:
    """A request, the second that is signed by the same signer."""

    async def story() -> Request:
        wire = Wire("gs://b", environment, IMPATIENT)
        signer = google_tokens.Signer("gs://b", wire, path, environment, is_anonymous=False)
        request = Request("GET", Origin("https", "storage.googleapis.com", None), "/")
        await signer.sign(request)
        signed = await signer.sign(request)
        await wire.close()
        return signed

    return run(story)


def test_a_service_account_signs_for_a_token(server: str, key: RSAKey, tmp_path: Path) -> None:
    """Its JWT says who asks for what, and is signed with its key; the token is asked for once."""
    file = tmp_path / "key.json"
    account = {
        "type": "service_account",
        "client_email": "me@p.iam.gserviceaccount.com",
        "private_key": key.as_pem(private=True).decode(),
        "private_key_id": "k1",
        "token_uri": f"{server}/token",
    }
    file.write_text(json.dumps(account))
    signed = sign_google({}, str(file))
    assert signed.headers["authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in repr(signed)
    [(path, _, form)] = Server.seen
    assert path == "/token"
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    token = jwt.decode(form["assertion"][0], key, algorithms=["RS256"])
    assert token.header["kid"] == "k1"
    assert token.claims["iss"] == account["client_email"]
    assert token.claims["aud"] == account["token_uri"]
    assert token.claims["scope"] == google_tokens.SCOPE
    assert token.claims["exp"] - token.claims["iat"] == 3600
    assert "BEGIN" not in repr(google_tokens.credentials("gs://b", str(file), {}))


def test_a_user_s_login_and_a_machine_give_tokens(server: str, tmp_path: Path) -> None:
    """gcloud's file is found where gcloud leaves it; without any, the machine's metadata server is asked."""
    folder = tmp_path / ".config" / "gcloud"
    folder.mkdir(parents=True)
    login = {
        "type": "authorized_user",
        "client_id": "c",
        "client_secret": "s",
        "refresh_token": "r",
        "token_uri": f"{server}/token",
    }
    (folder / "application_default_credentials.json").write_text(json.dumps(login))
    assert sign_google({"HOME": str(tmp_path)}).headers["authorization"] == f"Bearer {TOKEN}"
    assert Server.seen[0][2] == {
        "grant_type": ["refresh_token"],
        "client_id": ["c"],
        "client_secret": ["s"],
        "refresh_token": ["r"],
    }
    Server.seen.clear()
    machine = {"HOME": "/nowhere", "GCE_METADATA_HOST": server.removeprefix("http://")}
    assert sign_google(machine).headers["authorization"] == f"Bearer {TOKEN}"
    [(path, headers, _)] = Server.seen
    assert path == "/computeMetadata/v1/instance/service-accounts/default/token"
    assert {name.lower(): value for name, value in headers.items()}["metadata-flavor"] == "Google"


def test_a_token_that_ends_is_replaced(server: str) -> None:
    """A token near its end is not used again."""
    Server.document = {"access_token": TOKEN, "expires_in": 0}

    async def story() -> None:
        environment = {"HOME": "/nowhere", "GCE_METADATA_HOST": server.removeprefix("http://")}
        wire = Wire("gs://b", environment, IMPATIENT)
        signer = google_tokens.Signer("gs://b", wire, "", environment, is_anonymous=False)
        request = Request("GET", Origin("https", "h", None), "/")
        await signer.sign(request)
        assert signer._tokens is not None
        signer._tokens._until = 0.0
        await signer.sign(request)
        await wire.close()

    run(story)
    assert len(Server.seen) == 2


def test_credentials_that_are_no_good(server: str, tmp_path: Path) -> None:
    """What is wrong with them is said, but not what is in them; a machine without any is anonymous."""
    file = tmp_path / "key.json"
    with pytest.raises(errors.RemoteDenied, match="cannot be read"):
        sign_google({"GOOGLE_APPLICATION_CREDENTIALS": str(file)})
    for content, words in (
        ("no json", "is not one"),
        (json.dumps({"type": "external_account"}), "external_account"),
        (json.dumps({"type": "service_account", "private_key": "SECRET"}), "key is not one"),
        (json.dumps({"type": "authorized_user", "refresh_token": "SECRET", "token_uri": server}), "no token"),
    ):
        file.write_text(content)
        Server.status = 400
        with pytest.raises(errors.RemoteDenied, match=words) as caught:
            sign_google({}, str(file))
        assert "SECRET" not in repr(caught.value)
        assert str(file) not in str(caught.value)
    nobody = {"HOME": "/nowhere", "GCE_METADATA_HOST": server.removeprefix("http://")}
    assert "authorization" not in sign_google(nobody).headers


def test_an_upload_is_not_sent_to_another_place(server: str) -> None:
    """A resumable upload whose address is on another host is refused: the address and our token would be theirs."""

    async def story() -> None:
        bucket = GoogleBucket("gs://b", "b", ExtraGCP(), {"STORAGE_EMULATOR_HOST": server}, IMPATIENT)
        with pytest.raises(errors.RemoteUnavailable, match="another place"):
            await bucket.put("key", pieces(*[bytes(1024 * 1024)] * 9))
        await bucket.close()

    run(story)
    assert len(Server.seen) == 1


def sign_azure(environment: Mapping[str, str]) -> Request:
    """A request to a container, the second that is signed by the same signer."""

    async def story() -> Request:
        wire = Wire("az://c", environment, IMPATIENT)
        account = azure_keys.account("az://c", environment)
        signer = azure_keys.Signer("az://c", wire, account, environment)
        await signer.sign(Request("GET", account.origin, "/c/key"))
        signed = await signer.sign(Request("GET", account.origin, "/c/key"))
        await wire.close()
        return signed

    return run(story)


def test_an_application_s_and_a_workload_s_tokens(server: str, tmp_path: Path) -> None:
    """Microsoft Entra is asked with the secret, or with the token that the workload was given."""
    own = {
        "AZURE_STORAGE_ACCOUNT": "me",
        "AZURE_AUTHORITY_HOST": server,
        "AZURE_CLIENT_ID": "c",
        "AZURE_TENANT_ID": "t",
    }
    Server.document = {"access_token": TOKEN, "expires_in": "3599"}
    signed = sign_azure(own | {"AZURE_CLIENT_SECRET": "s"})
    assert signed.headers["authorization"] == f"Bearer {TOKEN}"
    assert signed.origin == Origin("https", "me.blob.core.windows.net", None)
    [(path, _, form)] = Server.seen
    assert path == "/t/oauth2/v2.0/token"
    assert form == {
        "client_id": ["c"],
        "client_secret": ["s"],
        "grant_type": ["client_credentials"],
        "scope": ["https://storage.azure.com/.default"],
    }
    Server.seen.clear()
    (tmp_path / "token").write_text("assertion\n")
    sign_azure(own | {"AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token")})
    assert Server.seen[0][2]["client_assertion"] == ["assertion"]
    with pytest.raises(errors.RemoteDenied, match="AZURE_FEDERATED_TOKEN_FILE"):
        sign_azure(own | {"AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "absent")})
    Server.status = 401
    with pytest.raises(errors.RemoteDenied) as caught:
        sign_azure(own | {"AZURE_CLIENT_SECRET": "SECRET"})
    assert "SECRET" not in repr(caught.value)


def test_accounts() -> None:
    """Connection strings and variables name an account and its key; what is no account is said."""
    by_string = azure_keys.account("az://c", {"AZURE_STORAGE_CONNECTION_STRING": "UseDevelopmentStorage=true"})
    assert by_string.origin == Origin("http", "127.0.0.1", 10000, "/devstoreaccount1")
    assert AZURE_KEY not in repr(by_string)
    text = f"DefaultEndpointsProtocol=https;AccountName=me;AccountKey={AZURE_KEY};EndpointSuffix=core.chinacloudapi.cn"
    found = azure_keys.account("az://c", {"AZURE_STORAGE_CONNECTION_STRING": text})
    assert found.origin == Origin("https", "me.blob.core.chinacloudapi.cn", None)
    assert found.key == by_string.key
    assert (
        azure_keys.account("az://c", {"AZURE_STORAGE_ACCOUNT": "me", "AZURE_STORAGE_KEY": AZURE_KEY}).key == found.key
    )
    with pytest.raises(errors.RemoteDenied, match="AZURE_STORAGE_ACCOUNT"):
        azure_keys.account("az://c", {})
    with pytest.raises(errors.RemoteDenied) as caught:
        azure_keys.account("az://c", {"AZURE_STORAGE_ACCOUNT": "me", "AZURE_STORAGE_KEY": "SECRET!"})
    assert "SECRET" not in repr(caught.value)


def _shared_access(account: str, services: str = "b") -> str:
    """A signature for an account: Azure Storage, "Create an account SAS"."""
    ends = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    fields = {"sp": "rwdlac", "ss": services, "srt": "sco", "se": ends, "sv": azure_keys.VERSION}
    lines = [account, fields["sp"], fields["ss"], fields["srt"], "", ends, "", "", fields["sv"], "", ""]
    key = azure_keys.account("az://c", {"AZURE_STORAGE_ACCOUNT": "x", "AZURE_STORAGE_KEY": AZURE_KEY}).key
    signature = hmac.digest(key, "\n".join(lines).encode(), hashlib.sha256)
    return urlencode(fields | {"sig": b64encode(signature).decode()})


def test_a_shared_access_signature_opens_an_account(tmp_path: Path) -> None:
    """A signature instead of a key does for reading, writing, copying and listing, and is in no error."""
    with ExitStack() as stack:
        remote = azurite(stack, tmp_path)
        name = remote.new_bucket()
        signature = _shared_access("devstoreaccount1")

        async def story() -> None:
            environment = {"AZURE_STORAGE_ENDPOINT": remote.url, "AZURE_STORAGE_SAS_TOKEN": f"?{signature}"}
            container = AzureContainer(name.uri, name.name, environment, IMPATIENT)
            await container.put("a b", pieces(b"x"))
            await container.copy("a b", "c")
            assert await read(container, "c") == b"x"
            assert [entry.key for entry in (await container.list()).entries] == ["a b", "c"]
            await container.close()
            wrong = environment | {"AZURE_STORAGE_SAS_TOKEN": _shared_access("another")}
            container = AzureContainer(name.uri, name.name, wrong, IMPATIENT)
            with pytest.raises(errors.RemoteDenied) as caught:
                await container.check()
            assert "sig" not in repr(caught.value)
            await container.close()

        run(story)
