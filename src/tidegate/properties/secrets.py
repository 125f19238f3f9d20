"""Properties that may have a credential in them: which may, and how they are shown without it. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from tidegate import errors

ORIGINAL_URL: Final = "extra.http.original_url"
HIDDEN: Final = "*****"


def concealed(url: str) -> str:
    """A URL as it may be shown: without the user and password that it names."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN
    if "@" in url and not parts.netloc:  # nobody knows what is what
        return HIDDEN
    _, is_named, place = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{HIDDEN}@{place}").geturl() if is_named else url


def check(path: str, value: object) -> None:
    """Raises ``InvalidArgument``, without the value, for a credential where none belongs."""
    refusal = _CHECKS.get(path)
    if refusal is not None and isinstance(value, str) and refusal[0](value):
        raise errors.InvalidArgument(f'invalid value of property "{path}": {refusal[1]}')


_CHECKS: Final[Mapping[str, tuple[Callable[[str], bool], str]]] = MappingProxyType(
    {
        "extra.aws.endpoint": (
            lambda value: "@" in value,
            "an endpoint has no credentials in it: they are in the server's environment, or in a profile",
        ),
        "extra.gcp.application_creds": (
            lambda value: any(mark in value for mark in "{\n"),
            "it is the path of a file of credentials, not what is in the file",
        ),
    }
)
