"""The types of ASGI 3, as the server uses them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

# Keys and types of their values are ASGI's: https://asgi.readthedocs.io/en/latest/specs/www.html
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# What a door writes into the scope before it answers, for the metrics and the access log.
OPERATION = "tidegate.operation"  # from a fixed list, such as Amazon's names
ACCESS_KEY = "tidegate.access_key"
REQUEST_ID = "tidegate.request_id"
ERROR = "tidegate.error"  # the code of the error that was answered

# What the server writes into the scope for the guard and the doors.
TARGET = "tidegate.target"  # the request target as it came
IS_OVERSIZED = "tidegate.is_oversized"  # whether its line and headers are larger than allowed
IS_REPOS = "tidegate.is_repos"  # whether it came in at the port that sees repositories only
