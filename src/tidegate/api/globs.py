r"""Patterns of paths: `*`, `?`, `[a-z]` and `[!a-z]` within a segment, `**` across, `{a,b}`, and `\` before what is
meant as it is.

Pure. A pattern is matched a character at a time, in all ways at once: no pattern takes longer than its length times the
path's, whatever it is made of.

Source: Pachyderm's glob patterns, without `@(…)` and its kin, which are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tidegate import errors

SLASH: Final = "/"
# A pattern with braces stands for so many without at most.
MAX_ALTERNATIVES: Final = 64
# Directories are gone into one by one, each in the one above.
MAX_DEPTH: Final = 100
_EXTENDED: Final = frozenset("@!+?*")


class _Set:
    """Some characters, or all but some; never a slash."""

    def __init__(self, ranges: list[tuple[str, str]], *, is_negated: bool) -> None:
        self._ranges = ranges
        self._is_negated = is_negated

    def __contains__(self, character: str) -> bool:
        if character == SLASH:
            return False
        return any(first <= character <= last for first, last in self._ranges) is not self._is_negated


_ANY: Final = _Set([], is_negated=True)


class _Pattern:
    """A pattern without braces.

    Its states are bits of a number: that of bit n is that n of its characters or sets have been matched. `*` and `**`
    are no states: they let one stay where it is.
    """

    def __init__(self, text: str) -> None:
        self._units: list[str | _Set] = []
        self._within = 0  # states that stay at any character but a slash
        self._across = 0  # states that stay at any
        self._known: dict[str, int] = {}  # the states that a character leads out of
        self.literal = self._parse(text)
        self.end = 1 << len(self._units)
        self.is_deep = bool(self._across)

    def _parse(self, text: str) -> str:
        """Returns what every match begins with, or is, but for the slash of a directory."""
        literal, is_literal = "", True
        position = 0
        while position < len(text):
            character = text[position]
            position += 1
            if character in _EXTENDED and text[position : position + 1] == "(":
                raise errors.InvalidArgument(f'patterns such as "{character}(…)" are not known: \\( is a plain "("')
            if character == "*":
                is_across = text[position : position + 1] == "*"
                position += is_across
                if is_across:
                    self._across |= 1 << len(self._units)
                else:
                    self._within |= 1 << len(self._units)
                is_literal = False
                continue
            unit: str | _Set = character
            if character == "?":
                unit = _ANY
            elif character == "[":
                unit, position = _set(text, position)
            elif character == "\\":
                if position == len(text):
                    raise errors.InvalidArgument("a pattern cannot end with a backslash")
                unit = text[position]
                position += 1
            self._units.append(unit)
            is_literal = is_literal and isinstance(unit, str)
            if is_literal and isinstance(unit, str):
                literal += unit
        return literal.removesuffix(SLASH) if is_literal else literal

    def states(self, path: str) -> int:
        """Where one may be after the path."""
        states, known = 1, self._known
        for character in path:
            leads = known.get(character)
            if leads is None:
                leads = sum(
                    1 << number
                    for number, unit in enumerate(self._units)
                    if (character == unit if isinstance(unit, str) else character in unit)
                )
                known[character] = leads
            stays = self._across if character == SLASH else self._across | self._within
            states = (states & leads) << 1 | states & stays
            if not states:
                break
        return states


class Glob:
    """A pattern. Paths of directories end in a slash, which the pattern need not name.

    Raises ``InvalidArgument`` for what is no pattern.
    """

    def __init__(self, text: str) -> None:
        alternatives = _alternatives(text)
        if any(each.count(SLASH) > MAX_DEPTH for each in alternatives):
            raise errors.InvalidArgument(f"a pattern goes at most {MAX_DEPTH} directories down")
        self._patterns = [_Pattern(each) for each in alternatives]
        self._only_directories = [each.endswith(SLASH) for each in alternatives]

    @property
    def is_deep(self) -> bool:
        """Whether a match may be any number of directories down."""
        return any(pattern.is_deep for pattern in self._patterns)

    @property
    def start(self) -> str:
        """The directory that all matches are below: empty, or with a slash behind it."""
        literals = [pattern.literal for pattern in self._patterns]
        first, last = min(literals), max(literals)
        common = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
        return first[: first[:common].rfind(SLASH) + 1]

    def matches(self, path: str) -> bool:
        """Whether a file or directory is meant."""
        name = path.removesuffix(SLASH)
        for pattern, is_directory in zip(self._patterns, self._only_directories, strict=True):
            if pattern.states(path if is_directory else name) & pattern.end:
                return True
        return False

    def may_be_in(self, directory: str) -> bool:
        """Whether a match may be below a directory."""
        return any(pattern.states(directory) for pattern in self._patterns)


def _set(text: str, position: int) -> tuple[_Set, int]:
    """The set whose bracket was opened before the position, and where it ends."""
    is_negated = text[position : position + 1] in {"!", "^"}
    begin = position = position + is_negated
    ranges: list[tuple[str, str]] = []
    while position < len(text):
        character = text[position]
        if character == "]" and position > begin:
            return _Set(ranges, is_negated=is_negated), position + 1
        if character == "\\":
            position += 1
            character = text[position : position + 1]
        last = character
        position += 1
        if text[position : position + 1] == "-" and text[position + 1 : position + 2] not in {"", "]"}:
            last = text[position + 1]
            position += 2
        if not character or last < character:
            break
        ranges.append((character, last))
    raise errors.InvalidArgument('a pattern has a set such as "[a-z]" that does not end, or goes backwards')


def _alternatives(text: str) -> list[str]:
    """The patterns without braces that one with braces stands for."""
    done: list[str] = []
    waiting = [text]
    while waiting:
        if len(done) + len(waiting) > MAX_ALTERNATIVES:
            raise errors.InvalidArgument(f"a pattern with braces stands for at most {MAX_ALTERNATIVES} others")
        each = waiting.pop()
        braces = next(_braces(each), None)
        if braces is None:
            done.append(each)
        else:
            start, end, options = braces
            waiting += [_joined(_joined(each[:start], option), each[end:]) for option in reversed(options)]
    return done


def _joined(left: str, right: str) -> str:
    """Two pieces of a pattern as one: a `*` of either is no `**`, and both mean what one does."""
    before = left.rstrip("*")
    stars = len(left) - len(before) - (len(before) - len(before.rstrip("\\"))) % 2  # after a backslash it is plain
    return left + right[1:] if stars == 1 and right.startswith("*") and not right.startswith("**") else left + right


def _braces(text: str) -> Iterator[tuple[int, int, list[str]]]:
    """The outermost braces: where they start and end, and what is between their commas."""
    depth, start, cut = 0, 0, 0
    options: list[str] = []
    position = 0
    while position < len(text):
        match text[position]:
            case "\\":
                position += 1
            case "{":
                depth += 1
                if depth == 1:
                    start, cut, options = position, position + 1, []
            case ",":
                if depth == 1:
                    options.append(text[cut:position])
                    cut = position + 1
            case "}":
                if not depth:
                    raise errors.InvalidArgument('a pattern has a "}" without "{"')
                depth -= 1
                if not depth:
                    yield start, position + 1, [*options, text[cut:position]]
        position += 1
    if depth:
        raise errors.InvalidArgument('a pattern has a "{" without "}"')
