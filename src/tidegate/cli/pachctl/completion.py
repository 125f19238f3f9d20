"""What a shell completes: commands, and names of projects, repos, branches and files, asked of the server while one
types.

A completion is quick or it is not at all: errors and slow servers give none.

bash takes ``@``, ``:`` and ``=`` for the ends of words. Our script for it passes the whole line, and what we answer is
only what bash replaces: see ``kept``.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterable, MutableMapping
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

if TYPE_CHECKING:
    from tidegate.cli.pachctl.arguments import Target
    from tidegate.cli.transport import Client

T = TypeVar("T")

# Somebody waits with a finger on the key.
_SECONDS = 1.0
VARIABLE = "_PACHCTL_COMPLETE"
LINE, WORD = "_PACHCTL_LINE", "_PACHCTL_WORD"
_BASH = f"""\
_pachctl_completion() {{
    local IFS=$'\\n'
    COMPREPLY=( $( env {LINE}="${{COMP_LINE:0:$COMP_POINT}}" {WORD}="${{COMP_WORDS[COMP_CWORD]}}" \\
        {VARIABLE}=complete_bash "$1" ) )
    [[ ${{COMPREPLY[0]}} == *[@:/] ]] && compopt -o nospace
    return 0
}}
complete -o default -F _pachctl_completion pachctl
"""

Shell = Literal["bash", "zsh", "fish"]


def script(
    shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish", help="Which shell.", show_default=False)],
) -> None:
    """Print what teaches a shell to complete commands: for instance eval "$(pachctl completion bash)"."""
    if shell == "bash":
        print(_BASH, end="")
        return
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # not in its __all__

    print(get_completion_script(prog_name="pachctl", complete_var=VARIABLE, shell=shell))


def complete_projects(incomplete: str) -> list[str]:
    """The projects whose names begin so."""
    from tidegate.cli.pachctl import calls

    return _begin(incomplete, _ask(lambda client: _names(client, calls.PROJECTS)))


def complete_repos(incomplete: str) -> list[str]:
    """The repos whose names begin so."""
    from tidegate.cli.pachctl import arguments, calls

    return _begin(
        incomplete,
        _ask(lambda client: _names(client, f"{calls.project_path(arguments.project_of(''))}/repos")),
    )


def complete_branches(incomplete: str) -> list[str]:
    """The repos, and behind an ``@`` the branches and tags, that begin so."""
    from tidegate.cli.pachctl import calls

    repo, is_branch, _ = incomplete.partition("@")
    if not is_branch:
        return [f"{name}@" for name in complete_repos(incomplete)]

    def found(client: Client) -> list[str]:
        path = calls.repo_path(_target(repo).repo)
        return [f"{repo}@{name}" for below in ("branches", "tags") for name in _names(client, f"{path}/{below}")]

    return _begin(incomplete, _ask(found))


def complete_files(incomplete: str) -> list[str]:
    """As ``complete_branches``, and behind a ``:`` the files and directories that begin so."""
    from tidegate.cli.pachctl import calls

    before, is_path, path = incomplete.partition(":")
    if not is_path:
        found = complete_branches(incomplete)
        return [f"{each}:/" for each in found] if "@" in incomplete else found
    directory = path.rpartition("/")[0].removeprefix("/")

    def listed(client: Client) -> list[str]:
        target = _target(before)
        query = {"ref": target.ref, "limit": "1000"} | ({"path": f"{directory}/"} if directory else {})
        items = _page(client, calls.repo_path(target.repo, "files"), query)
        return [f"{before}:/{each['path']}" for each in items]

    return _begin(incomplete, _ask(listed))


def _target(text: str) -> Target:
    from tidegate.cli.pachctl import arguments

    return arguments.file_of(text, "")


def _ask(question: Callable[[Client], list[str]]) -> list[str]:
    """What the server answers, or nothing."""
    from tidegate import errors
    from tidegate.cli.failures import Failure
    from tidegate.cli.pachctl.client import connect

    try:
        return question(connect())
    except (Failure, errors.Error):
        return []


def _names(client: Client, path: str) -> list[str]:
    return [str(each["name"]) for each in _page(client, path, {})]


def _page(client: Client, path: str, query: dict[str, str]) -> list[dict[str, object]]:
    """The first page of a list."""
    answer = client.request("GET", path, query=query, timeout=_SECONDS)
    found = client.decode(answer, dict[str, list[dict[str, object]] | str | None])["items"]
    return found if isinstance(found, list) else []


def _begin(incomplete: str, found: Iterable[str]) -> list[str]:
    return [each for each in found if each.startswith(incomplete)]


# --- bash ------------------------------------------------------------------------------------------------------------


def complete(app: Callable[[], int], environment: MutableMapping[str, str]) -> int:
    """Runs the command line; where a shell asks with it what may come next, in its way."""
    if VARIABLE in environment:
        from typer.completion import completion_init  # type: ignore[attr-defined]  # not in its __all__

        completion_init()
    if not environment.get(VARIABLE, "").endswith("_bash") or LINE not in environment:
        return app()
    words = environment[LINE].split()
    if environment[LINE][-1:].isspace():
        words.append("")
    environment.update(COMP_WORDS="\n".join(words), COMP_CWORD=str(len(words) - 1))
    output = io.StringIO()
    with redirect_stdout(output):
        code = app()
    cut = kept(words[-1] if words else "", environment.get(WORD, ""))
    sys.stdout.write("".join(f"{line[cut:]}{os.linesep}" for line in output.getvalue().splitlines()))
    return code


def kept(whole: str, word: str) -> int:
    """How much of a whole word bash keeps when it replaces what it takes for the word. It is what is behind the last
    separator; but readline takes an ``@`` for the beginning of a word, and replaces it too.
    """
    cut = len(whole) if word in {":", "="} else max(0, len(whole) - len(word))
    return cut - 1 if whole[:cut].endswith("@") else cut
