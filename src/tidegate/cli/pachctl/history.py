"""``log``: what has become of a path, and who did it."""

from __future__ import annotations

import msgspec

from tidegate.cli.pachctl import calls, output, text
from tidegate.cli.pachctl.arguments import file_of
from tidegate.cli.pachctl.client import connect
from tidegate.cli.pachctl.commits import LimitOption
from tidegate.cli.pachctl.grammar import FileArgument, ProjectOption
from tidegate.cli.pachctl.output import FullTimestampsOption, OutputOption, RawOption
from tidegate.documents import Commit, Revision

_HEADER = ("COMMIT", "OP", "SIZE", "CHANGED", "AUTHOR", "DESCRIPTION")


def log(
    name: FileArgument,
    limit: LimitOption = 0,
    project: ProjectOption = "",
    raw: RawOption = False,
    encoding: OutputOption = None,
    is_full: FullTimestampsOption = False,
) -> None:
    """Show the versions of a path, the newest first."""
    client, target = connect(), file_of(name, project, is_needed=True)
    versions = calls.history(client, target, "log", "commit", limit)
    if output.is_raw(raw, encoding):
        output.documents(versions, encoding)
        return
    found = list(versions)
    commits = {
        commit.id: commit
        for commit in (
            msgspec.json.decode(each, type=Commit) for each in calls.history(client, target, "find", "id", limit)
        )
    }

    def row(each: Revision) -> tuple[str, ...]:
        commit = commits.get(each.commit)
        return (
            each.commit,
            "delete" if each.is_deleted else "put",
            text.NOTHING if each.is_deleted else text.size(each.size),
            text.age(each.modified, is_full=is_full),
            (commit and commit.author) or text.NOTHING,
            commit.message if commit else "",
        )

    output.table(found, Revision, _HEADER, row)
