"""Settings that the catalog keeps, and that a server reads when it starts."""

from __future__ import annotations

from pathlib import Path

import pytest
import urllib3

from tests.certificates import write_certificate
from tidegate.testing import ServerError, serve


def test_https_needs_a_restart(tmp_path: Path) -> None:
    """net.http.use_https is taken with a certificate that can be used, says that it needs a restart, and acts then."""
    certificate, key = write_certificate(tmp_path)
    pool = urllib3.PoolManager(cert_reqs="CERT_REQUIRED", ca_certs=str(certificate))
    data = tmp_path / "data"
    with serve(data) as server:
        url = f"{server.url}/v1/cluster"
        refused = pool.request("PUT", url, json={"action": "set-config", "value": {"net.http.use_https": "true"}})
        assert refused.status == 400
        assert "no certificate" in refused.json()["message"]
        wanted = {"server_crt": str(certificate), "server_key": str(key), "use_https": True}
        accepted = pool.request("PUT", url, json={"action": "set-config", "value": {"net": {"http": wanted}}})
        assert accepted.status == 200
        assert "net.http.use_https" in accepted.data.decode()
        assert pool.request("GET", f"{server.url}/-/healthy").status == 200
    with serve(data) as server:
        assert server.url.startswith("https://")
        assert pool.request("GET", f"{server.url}/-/healthy").status == 200
        back = {"action": "set-config", "value": {"net.http.use_https": False}}
        assert pool.request("PUT", f"{server.url}/v1/cluster", json=back).status == 200
    with serve(data) as server:
        assert server.url.startswith("http://")


def test_a_certificate_that_went_away_is_named(tmp_path: Path) -> None:
    """A server that is set to HTTPS and finds no certificate says which file it lacks, and does not fall back."""
    certificate, key = write_certificate(tmp_path)
    data = tmp_path / "data"
    with serve(data) as server:
        wanted = {"server_crt": str(certificate), "server_key": str(key), "use_https": True}
        message = {"action": "set-config", "value": {"net": {"http": wanted}}}
        assert urllib3.request("PUT", f"{server.url}/v1/cluster", json=message).status == 200
    certificate.unlink()
    with pytest.raises(ServerError, match="cannot use the certificate"), serve(data):
        pass
