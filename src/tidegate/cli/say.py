"""What a command says beside its result: warnings, questions, and errors, all on standard error."""

from __future__ import annotations

import sys

from tidegate.cli.failures import Failure
from tidegate.cli.values import printable


def error(message: str, hint: str = "") -> None:
    """What went wrong, and what may help."""
    for number, line in enumerate(message.split("\n")):
        print(printable(line) if number else f"Error: {printable(line)}", file=sys.stderr)
    if hint:
        print(f"(Hint: {hint})", file=sys.stderr)


def warning(message: str) -> None:
    """What one should know."""
    print(f"Warning: {message}", file=sys.stderr)


def note(message: str) -> None:
    """What a person wants to see and a program does not."""
    print(message, file=sys.stderr, flush=True)


def confirm(question: str, *, yes: bool, word: str = "Y") -> bool:
    """Whether to go on: whether the user types ``word``. ``yes`` answers for who cannot be asked.

    Raises ``Failure`` where nobody can.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise Failure(f"not confirmed: {question}", "--yes goes on without asking")
    accepted = {"y", "yes"} if word == "Y" else {word.lower()}
    while True:
        print(f"{question} [{word}/N]: ", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline()
        if answer.strip().lower() in accepted:
            return True
        if not answer or answer.strip().lower() in {"n", "no"}:
            note("Operation canceled.")
            return False
