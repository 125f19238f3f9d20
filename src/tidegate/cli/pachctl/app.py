"""The commands of ``pachctl``, put together.

A command is a function in the module of what it is about, and stands here below its verb.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import typer

from tidegate.cli import running
from tidegate.cli.pachctl import (
    branches,
    commits,
    completion,
    differing,
    files,
    forwarding,
    getting,
    history,
    hooks,
    importing,
    maintenance,
    merging,
    projects,
    putting,
    repos,
    tags,
)
from tidegate.cli.pachctl.auth import auth
from tidegate.cli.pachctl.configuring import config_
from tidegate.cli.pachctl.grammar import Group, group

app = typer.Typer(
    help=(
        "Pachyderm's command line for Tidegate's repositories. The server's address is taken from PACHD_ADDRESS "
        "(default: http://127.0.0.1:8080)."
    ),
    cls=Group,
    add_completion=False,  # there is a command for it, as in Pachyderm
    pretty_exceptions_enable=False,  # they show the values of variables, secrets among them
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Command = Callable[..., Any]

# Verbs with what they are for, in the order in which help lists them.
_VERBS: tuple[tuple[str, str, tuple[tuple[str, Command], ...]], ...] = (
    (
        "list",
        "List projects, repos, branches, tags, commits, files and hooks.",
        (
            ("project", projects.list_),
            ("repo", repos.list_),
            ("branch", branches.list_),
            ("tag", tags.list_),
            ("commit", commits.list_),
            ("file", files.list_),
            ("hook", hooks.list_),
            ("delivery", hooks.list_deliveries),
        ),
    ),
    (
        "create",
        "Make projects, repos, branches, tags and hooks.",
        (
            ("project", projects.create),
            ("repo", repos.create),
            ("branch", branches.create),
            ("tag", tags.create),
            ("hook", hooks.create),
        ),
    ),
    ("update", "Change projects and repos.", (("project", projects.update), ("repo", repos.update))),
    (
        "inspect",
        "Show one thing in detail.",
        (
            ("project", projects.inspect),
            ("repo", repos.inspect),
            ("branch", branches.inspect),
            ("commit", commits.inspect),
            ("file", files.inspect),
        ),
    ),
    (
        "delete",
        "Remove projects, repos, branches, tags, commits, files and hooks.",
        (
            ("project", projects.delete),
            ("repo", repos.delete),
            ("branch", branches.delete),
            ("tag", tags.delete),
            ("commit", commits.drop),
            ("file", files.delete),
            ("hook", hooks.delete),
        ),
    ),
    ("put", "Write files.", (("file", putting.put),)),
    ("get", "Read files.", (("file", getting.get),)),
    ("copy", "Copy files.", (("file", files.copy),)),
    ("glob", "Find files by patterns.", (("file", files.glob),)),
    ("diff", "Compare states of files.", (("file", differing.diff),)),
    ("start", "Start commits.", (("commit", commits.start),)),
    ("finish", "Finish commits.", (("commit", commits.finish),)),
    ("wait", "Wait for commits.", (("commit", commits.wait),)),
    ("squash", "Make commits part of the next.", (("commit", commits.squash),)),
    ("drop", "Remove commits with what they wrote.", (("commit", commits.drop),)),
    ("find", "Find commits by what they changed.", (("commit", commits.find),)),
    ("protect", "Protect branches.", (("branch", branches.protect),)),
    ("unprotect", "End the protection of branches.", (("branch", branches.unprotect),)),
    ("retry", "Send something to hooks once more.", (("delivery", hooks.retry_delivery),)),
)

for _verb, _help, _commands in _VERBS:
    _group = group(_help)
    for _name, _command in _commands:
        _group.command(_name)(_command)
    app.add_typer(_group, name=_verb)
for _name, _command in (
    ("merge", merging.merge),
    ("revert", merging.revert),
    ("cherry-pick", merging.cherry_pick),
    ("log", history.log),
    ("import", importing.import_),
    ("port-forward", forwarding.port_forward),
    ("fsck", maintenance.fsck),
    ("version", maintenance.version),
    ("completion", completion.script),
):
    app.command(_name)(_command)
app.add_typer(auth, name="auth")
app.add_typer(config_, name="config")


def run() -> int:
    """Runs the command line of this process; its exit code."""
    return completion.complete(partial(running.run, app, "pachctl"), os.environ)
