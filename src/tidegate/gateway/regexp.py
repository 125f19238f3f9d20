"""Regular expressions in linear time: for patterns that come from a client, and would stop the server with ``re``.

The syntax is that of RE2, which AIStore uses, without Unicode classes and flags in the middle: what RE2 leaves out
(backreferences, looking around) cannot be matched in linear time. A pattern becomes a nondeterministic automaton, of
which the sets of states that turn up are remembered.

Source: Russ Cox, "Regular Expression Matching Can Be Simple And Fast", 2007.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final

from tidegate import errors

MAX_PATTERN: Final = 1000  # characters
# States of the automaton: each character of a text costs at most so many steps.
MAX_STATES: Final = 2000
MAX_DEPTH: Final = 50  # of groups in groups
# States in the steps that are remembered for one pattern: some 10 MB.
MAX_REMEMBERED: Final = 100_000

_CLASSES: Final = {
    "d": (("0", "9"),),
    "w": (("0", "9"), ("A", "Z"), ("_", "_"), ("a", "z")),
    "s": (("\t", "\n"), ("\f", "\r"), (" ", " ")),
}
_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
_REPEAT: Final = re.compile(r"\{(\d{1,4})(,(\d{1,4})?)?\}", re.ASCII)
_GROUP: Final = re.compile(r"\?(?:P?<[A-Za-z_]\w*>|:)", re.ASCII)
_FLAGS: Final = re.compile(r"\(\?([is]{1,2})\)")
_HEX: Final = re.compile(r"x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,6})\})")


class _At(Enum):
    BEGIN = "begin"
    END = "end"
    WORD = "word edge"
    NO_WORD = "no word edge"


_PLACES: Final = {"A": _At.BEGIN, "z": _At.END, "b": _At.WORD, "B": _At.NO_WORD}

Test = Callable[[str], bool]


class Pattern:
    """A compiled pattern. Making it raises ``InvalidArgument``."""

    def __init__(self, pattern: str) -> None:
        if len(pattern) > MAX_PATTERN:
            raise errors.InvalidArgument(f"a regular expression has at most {MAX_PATTERN} characters")
        builder = _Builder(pattern)
        self._reads, self._splits, self._places = builder.reads, builder.splits, builder.places
        self._start = builder.start
        self._final = builder.final
        self._steps: dict[tuple[frozenset[int], bool | None, str], tuple[frozenset[int], bool] | None] = {}
        self._remembered = 0  # states in them

    def search(self, text: str) -> bool:
        """Whether the pattern matches somewhere in a text."""
        states: frozenset[int] = frozenset((self._start,))
        before: bool | None = None  # whether the last character is part of a word; None at the beginning
        for character in (*text, ""):
            key = (states, before, character)
            try:
                step = self._steps[key]
            except KeyError:
                step = self._steps[key] = self._step(states, character, before=before)
                self._remembered += 1 if step is None else 1 + len(step[0])
                if self._remembered > MAX_REMEMBERED:
                    self._steps.clear()
                    self._remembered = 0
            if step is None:
                return True
            states, before = step
        return False

    def _step(
        self, states: frozenset[int], character: str, *, before: bool | None
    ) -> tuple[frozenset[int], bool] | None:
        """The states after a character; the empty one ends the text. None where a match is found before it."""
        is_word = _is_word(character)
        holds = {
            _At.BEGIN: before is None,
            _At.END: not character,
            _At.WORD: bool(before) != is_word,
            _At.NO_WORD: bool(before) == is_word,
        }
        reached = {self._start}
        seen: set[int] = set()
        ahead = list(states)
        while ahead:
            state = ahead.pop()
            if state in seen:
                continue
            seen.add(state)
            if state == self._final:
                return None
            if state in self._splits:
                ahead += self._splits[state]
            elif state in self._places:
                place, after = self._places[state]
                if holds[place]:
                    ahead.append(after)
            elif character:
                test, after = self._reads[state]
                if test(character):
                    reached.add(after)
        return frozenset(reached), is_word


def _is_word(character: str) -> bool:
    return character == "_" or (character.isascii() and character.isalnum())


_Tree = Callable[[int], int]


class _Builder:
    """Parses a pattern. What it finds is a function that makes states: given the state after it, it returns the first.

    So what is repeated a number of times is simply made as often.
    """

    def __init__(self, pattern: str) -> None:
        self.reads: dict[int, tuple[Test, int]] = {}
        self.splits: dict[int, Sequence[int]] = {}
        self.places: dict[int, tuple[_At, int]] = {}
        self._count = 0
        self._pattern = pattern
        self._depth = 0
        flags = _FLAGS.match(pattern)
        self._position = 0 if flags is None else flags.end()
        self._ignores_case = flags is not None and "i" in flags[1]
        self._dot_is_all = flags is not None and "s" in flags[1]
        self.final = self._new()
        tree = self._alternatives()
        if self._position < len(pattern):
            raise self._error("a closing parenthesis without an opening one")
        self.start = tree(self.final)

    # --- states ------------------------------------------------------------------------------------------------------

    def _new(self) -> int:
        """The number of a state that is to be made, or of a repetition: nothing is also too much if it is too often."""
        self._count += 1
        if self._count > MAX_STATES:
            raise self._error("it is too large")
        return self._count

    def _read(self, test: Test) -> _Tree:
        def make(after: int) -> int:
            state = self._new()
            self.reads[state] = (test, after)
            return state

        return make

    def _place(self, place: _At) -> _Tree:
        def make(after: int) -> int:
            state = self._new()
            self.places[state] = (place, after)
            return state

        return make

    def _either(self, trees: Sequence[_Tree]) -> _Tree:
        def make(after: int) -> int:
            ways = [tree(after) for tree in trees]
            state = self._new()
            self.splits[state] = ways
            return state

        return trees[0] if len(trees) == 1 else make

    def _repeat(self, tree: _Tree, least: int, most: int | None) -> _Tree:
        def make(after: int) -> int:
            if most is None:
                loop = self._new()
                self.splits[loop] = (tree(loop), after)
                after = loop
            else:
                for _ in range(most - least):
                    state = self._new()
                    self.splits[state] = (tree(after), after)
                    after = state
            for _ in range(least):
                self._new()
                after = tree(after)
            return after

        return make

    # --- syntax ------------------------------------------------------------------------------------------------------

    def _error(self, why: str) -> errors.InvalidArgument:
        return errors.InvalidArgument(f'invalid regular expression "{self._pattern[:100]}": {why}')

    def _peek(self) -> str:
        return self._pattern[self._position : self._position + 1]

    def _take(self) -> str:
        character = self._peek()
        if not character:
            raise self._error("it ends too early")
        self._position += 1
        return character

    def _takes(self, text: str) -> bool:
        if not self._pattern.startswith(text, self._position):
            return False
        self._position += len(text)
        return True

    def _alternatives(self) -> _Tree:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error("too many groups in groups")
        trees = [self._sequence()]
        while self._takes("|"):
            trees.append(self._sequence())
        self._depth -= 1
        return self._either(trees)

    def _sequence(self) -> _Tree:
        trees: list[_Tree] = []
        while self._peek() not in {"", "|", ")"}:
            trees.append(self._repeated(self._atom()))

        def make(after: int) -> int:
            for tree in reversed(trees):
                after = tree(after)
            return after

        return make

    def _repeated(self, tree: _Tree) -> _Tree:
        """What was parsed, as often as is said behind it."""
        counted = _REPEAT.match(self._pattern, self._position)
        if counted is not None:
            self._position = counted.end()
            least = int(counted[1])
            most = least if counted[2] is None else None if counted[3] is None else int(counted[3])
            if max(least, most or 0) > MAX_STATES or (most is not None and most < least):
                raise self._error("a repetition that is too large, or ends before it begins")
        elif self._peek() in {"*", "+", "?"}:
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[self._take()]
        else:
            return tree
        self._takes("?")  # which of several matches is found makes no difference here
        if self._peek() in {"*", "+", "?"} or _REPEAT.match(self._pattern, self._position):
            raise self._error("nothing to repeat")
        return self._repeat(tree, least, most)

    def _atom(self) -> _Tree:
        match character := self._take():
            case "(":
                group = _GROUP.match(self._pattern, self._position)
                if group is not None:
                    self._position = group.end()
                elif self._peek() == "?":
                    raise self._error("this kind of group is not supported")
                tree = self._alternatives()
                if not self._takes(")"):
                    raise self._error("a parenthesis is not closed")
                return tree
            case "*" | "+" | "?":
                raise self._error("nothing to repeat")
            case "^":
                return self._place(_At.BEGIN)
            case "$":
                return self._place(_At.END)
            case ".":
                return self._read((lambda _: True) if self._dot_is_all else (lambda read: read != "\n"))
            case "[":
                return self._read(self._set())
            case "\\":
                return self._escaped()
        return self._read(self._one_of([(character, character)]))

    def _escaped(self) -> _Tree:
        character = self._peek()
        if character in _PLACES:
            self._position += 1
            return self._place(_PLACES[character])
        ranges, is_other = self._escape()
        return self._read(self._one_of(ranges, is_inverted=is_other))

    def _escape(self) -> tuple[list[tuple[str, str]], bool]:
        """The characters that are meant by what follows a backslash, and whether all others are."""
        if (code := _HEX.match(self._pattern, self._position)) is not None:
            self._position = code.end()
            number = int(code[1] or code[2], 16)
            if number > 0x10FFFF:
                raise self._error("no such character")
            return [(chr(number), chr(number))], False
        character = self._take()
        if character.lower() in _CLASSES:
            return list(_CLASSES[character.lower()]), character.isupper()
        if character in _CONTROLS:
            return [(_CONTROLS[character],) * 2], False
        if character.isalnum():
            raise self._error(f"\\{character} is not supported")
        return [(character, character)], False

    def _set(self) -> Test:
        """A set of characters in brackets."""
        is_inverted = self._takes("^")
        tests: list[Test] = []
        ranges: list[tuple[str, str]] = []
        is_first = True
        while is_first or self._peek() != "]":
            is_first = False
            if self._pattern.startswith("[:", self._position):
                raise self._error("classes by name are not supported")
            found, is_other = self._member()
            if is_other:
                tests.append(self._one_of(found, is_inverted=is_other))
            elif len(found) == 1 and self._peek() == "-" and not self._pattern.startswith("-]", self._position):
                self._take()
                last, _ = self._member()
                if len(last) != 1 or last[0][0] != last[0][1] or last[0][0] < found[0][0]:
                    raise self._error("a range of characters that ends before it begins")
                ranges.append((found[0][0], last[0][0]))
            else:
                ranges += found
        self._take()
        tests.append(self._one_of(ranges))
        return lambda read: any(test(read) for test in tests) is not is_inverted

    def _member(self) -> tuple[list[tuple[str, str]], bool]:
        character = self._take()
        return self._escape() if character == "\\" else ([(character, character)], False)

    def _one_of(self, ranges: Sequence[tuple[str, str]], *, is_inverted: bool = False) -> Test:
        """A test whether a character is in one of the ranges, or in none."""
        if self._ignores_case:
            return lambda read: any(_is_in(each, ranges) for each in (read.lower(), read.upper())) is not is_inverted
        if len(ranges) == 1 and ranges[0][0] == ranges[0][1] and not is_inverted:
            return ranges[0][0].__eq__
        return lambda read: _is_in(read, ranges) is not is_inverted


def _is_in(character: str, ranges: Sequence[tuple[str, str]]) -> bool:
    return any(first <= character <= last for first, last in ranges)
