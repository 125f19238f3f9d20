"""Runs mnist.py with another environment's Python against a server of its own: ``python run.py PYTHON``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import urllib3

from tidegate.testing import ANY_KEY, serve

TRAINING = Path(__file__).with_name("mnist.py")
BUCKET = "mnist"


def main(python: str) -> int:
    """Starts a server, makes the bucket, trains. Returns the exit code of the training."""
    with serve(repos_port=None) as server:
        urllib3.request("PUT", f"{server.url}/{BUCKET}")
        environment = {
            **os.environ,
            "S3_ENDPOINT": f"{server.url}/s3",
            "S3_USE_HTTPS": "0",
            "AWS_ACCESS_KEY_ID": ANY_KEY,
            "AWS_SECRET_ACCESS_KEY": ANY_KEY,
            "AWS_REGION": "us-east-1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "PYTHONWARNINGS": "ignore",
        }
        return subprocess.run([python, str(TRAINING), BUCKET], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
