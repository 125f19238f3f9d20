"""Conditional requests: pure parsing and evaluation of If-Match and its kin, for reads, writes and copy sources.

Sources: RFC 9110 section 13 (fields, precedence), Amazon S3 user guide "Conditional requests".
"""

from __future__ import annotations

import calendar
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import msgspec

from tidegate import errors
from tidegate.clock import SECOND

if TYPE_CHECKING:
    from tidegate.model import Version


ANY = "*"
_FIELDS = frozenset({"if-match", "if-none-match", "if-modified-since", "if-unmodified-since"})


def parse_http_date(value: str) -> int | None:
    """Microseconds since the epoch; None for what is no date: conditions ignore it (RFC 9110 section 13.1.3)."""
    try:
        return calendar.timegm(parsedate_to_datetime(value).utctimetuple()) * SECOND
    except (ValueError, TypeError, OverflowError):
        pass
    try:  # SDKs write ISO 8601 into the headers that are Amazon's own
        return calendar.timegm(time.strptime(value.partition(".")[0].rstrip("Z"), "%Y-%m-%dT%H:%M:%S")) * SECOND
    except ValueError:
        return None


def parse_etags(value: str) -> tuple[str, ...]:
    """The entity tags of an If-Match or If-None-Match field, without quotes; ``*`` stands for itself.

    Clients send tags with and without quotes, and S3 takes both. Weak tags compare as strong ones: S3 has no weak tags.
    """
    return tuple(tag.strip().removeprefix("W/").strip('"') for tag in value.split(",") if tag.strip())


class Preconditions(msgspec.Struct, frozen=True):
    """The conditions of one request. Times are microseconds since the epoch; HTTP dates have whole seconds."""

    if_match: tuple[str, ...] | None = None
    if_none_match: tuple[str, ...] | None = None
    if_modified_since: int | None = None
    if_unmodified_since: int | None = None
    if_match_size: int | None = None
    if_match_modified: int | None = None

    @property
    def asks_of_content(self) -> bool:
        """Whether the outcome tells something of an object that is there, beyond that it is there."""
        tags = {*(self.if_match or ()), *(self.if_none_match or ())}
        return bool(tags - {ANY}) or self.if_match_size is not None or self.if_match_modified is not None

    def check_read(self, version: Version) -> None:
        """Raises ``PreconditionFailed`` or ``NotModified`` where a read of this version must not go on.

        If-Match takes precedence over If-Unmodified-Since, If-None-Match over If-Modified-Since (RFC 9110 section
        13.2.2).
        """
        modified = version.modified // SECOND * SECOND
        if self.if_match is not None:
            if not _matches(self.if_match, version.etag):
                raise errors.PreconditionFailed(Condition="If-Match")
        elif self.if_unmodified_since is not None and modified > self.if_unmodified_since:
            raise errors.PreconditionFailed(Condition="If-Unmodified-Since")
        if self.if_none_match is not None:
            if _matches(self.if_none_match, version.etag):
                raise errors.NotModified(etag=version.etag)
        elif self.if_modified_since is not None and modified <= self.if_modified_since:
            raise errors.NotModified(etag=version.etag)

    def check_copy_source(self, version: Version) -> None:
        """As ``check_read``, but a copy has no "not modified" answer: every failure is ``PreconditionFailed``."""
        try:
            self.check_read(version)
        except errors.NotModified:
            raise errors.PreconditionFailed(Condition="x-amz-copy-source-If-None-Match") from None

    def check_write(self, current: Version | None) -> None:
        """Raises ``PreconditionFailed``, or ``NoSuchKey`` where If-Match names an object that is not there.

        ``current`` is the object that the write would replace or delete, None if there is none (or a delete marker).
        """
        if current is None:
            if self.if_match is not None or self.if_match_size is not None or self.if_match_modified is not None:
                raise errors.NoSuchKey
            return
        if self.if_match is not None and not _matches(self.if_match, current.etag):
            raise errors.PreconditionFailed(Condition="If-Match")
        if self.if_none_match is not None and _matches(self.if_none_match, current.etag):
            raise errors.PreconditionFailed(Condition="If-None-Match")
        if self.if_match_size is not None and self.if_match_size != current.size:
            raise errors.PreconditionFailed(Condition="x-amz-if-match-size")
        if self.if_match_modified is not None and self.if_match_modified != current.modified // SECOND * SECOND:
            raise errors.PreconditionFailed(Condition="x-amz-if-match-last-modified-time")

    def check_delete(self, current: Version | None) -> None:
        """As ``check_write``, but conditions on size and time alone hold where nothing is: it is deleted already.

        Source: Amazon S3 API reference, "DeleteObject", x-amz-if-match-size and x-amz-if-match-last-modified-time.
        """
        if current is not None or self.if_match is not None:
            self.check_write(current)


NONE = Preconditions()


def of_headers(headers: Mapping[str, str], prefix: str = "") -> Preconditions:
    """The conditions of a read or write, in headers by lower-case name; with a prefix, those of a copy's or rename's
    source.
    """
    if not prefix and _FIELDS.isdisjoint(headers):  # most requests
        return NONE
    match, none_match = headers.get(f"{prefix}if-match"), headers.get(f"{prefix}if-none-match")
    since, unmodified = headers.get(f"{prefix}if-modified-since"), headers.get(f"{prefix}if-unmodified-since")
    if match is None and none_match is None and since is None and unmodified is None:
        return NONE
    return Preconditions(
        parse_etags(match) if match is not None else None,
        parse_etags(none_match) if none_match is not None else None,
        parse_http_date(since) if since is not None else None,
        parse_http_date(unmodified) if unmodified is not None else None,
    )


def if_range_holds(condition: str | None, version: Version) -> bool:
    """Whether a range may be answered in part: If-Range, if it is given, names the object as it is (RFC 9110 section
    13.1.5).
    """
    if condition is None:
        return True
    if (date := parse_http_date(condition)) is not None:
        return version.modified // SECOND * SECOND == date
    return condition.strip().strip('"') == version.etag


def _matches(tags: tuple[str, ...], etag: str) -> bool:
    return etag in tags or ANY in tags
