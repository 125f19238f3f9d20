"""What this process counts about other providers: reads from here and from there, requests, bytes and errors.

One ``Meter`` a provider, for all its buckets: nothing here may know a bucket's name. Called on the event loop; each
call is a few additions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from tidegate.names import PROVIDERS, SCHEMES
from tidegate.telemetry.tally import Tally

# From a server in the same rack to one that is about to time out.
FIRST_BYTE_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

# What can go wrong with a request: no connection; an answer that is missing or broke off; "ask less"; a fault of the
# remote's; credentials; anything else that it does not do for us; bytes that are not what was promised; no place of
# ours for it.
Kind: TypeAlias = Literal["unreachable", "lost", "busy", "failed", "denied", "refused", "damaged", "no-place"]
Temperature: TypeAlias = Literal["cold", "warm"]

# Answers that say no and are not errors: there is nothing, or it is not what a condition asks for.
_EXPECTED: Final = frozenset({304, 404, 409, 412, 416})
_DENIED: Final = frozenset({401, 403, 407})
_BUSY: Final = frozenset({429, 503})


class Meter:
    """What is counted about one provider. ``changes`` is another number whenever something was."""

    __slots__ = ("bytes_read", "bytes_written", "changes", "errors", "first_byte", "reads", "requests")

    def __init__(self) -> None:
        self.changes = 0
        self.reads: dict[Temperature, int] = {"cold": 0, "warm": 0}
        self.requests: defaultdict[str, int] = defaultdict(int)
        self.errors: defaultdict[Kind, int] = defaultdict(int)
        self.bytes_read = 0
        self.bytes_written = 0
        self.first_byte = Tally(FIRST_BYTE_BOUNDS)

    def read(self, temperature: Temperature) -> None:
        """An object was opened to be read: ``warm`` if all of it was here."""
        self.reads[temperature] += 1
        self.changes += 1

    def request(self, method: str) -> None:
        """A request is sent to the remote, for the first time or once more."""
        self.requests[method] += 1
        self.changes += 1

    def answer(self, status: int, written: int, first_byte: float | None) -> None:
        """A request was answered, with a body of ours that was ``written``. ``first_byte``: seconds until the answer
        began, where that says something of the remote.
        """
        self.bytes_written += written
        if first_byte is not None:
            self.first_byte.add(first_byte)
        if status >= 300 and (kind := kind_of(status)) is not None:
            self.errors[kind] += 1
        self.changes += 1

    def arrive(self, size: int) -> None:
        """Bytes of an answer's body have come."""
        self.bytes_read += size
        self.changes += 1

    def fail(self, kind: Kind) -> None:
        """A request came to nothing."""
        self.errors[kind] += 1
        self.changes += 1


def kind_of(status: int) -> Kind | None:
    """The kind of error that an answer is, by its status; None where it is none."""
    if status < 300 or status in _EXPECTED:
        return None
    if status in _BUSY:
        return "busy"
    if status in _DENIED:
        return "denied"
    return "failed" if status >= 500 else "refused"


# All there can be, so that no label ever has another value.
METERS: Final[Mapping[str, Meter]] = {provider: Meter() for provider in SCHEMES}


def meter_of(uri: str) -> Meter:
    """The meter of the provider whose bucket has this URI."""
    return METERS[PROVIDERS[uri.partition(":")[0]]]
