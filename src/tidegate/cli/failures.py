"""What ends a command for a reason that its user can understand."""

from __future__ import annotations


class Failure(Exception):  # noqa: N818 - what it is for its user
    """A command cannot go on: what the user is told, and what may help."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Refused(Failure):
    """The server said no. ``code`` is its name for the reason, where it has one, ``document`` the whole answer."""

    def __init__(self, status: int, message: str, hint: str = "", *, code: str = "", document: bytes = b"") -> None:
        super().__init__(message, hint)
        self.status = status
        self.code = code
        self.document = document
