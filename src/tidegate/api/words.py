"""What requests are made of: types of the fields of bodies and queries, with their limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta

from tidegate.documents import MAX_FILES, MAX_PAGE
from tidegate.names import MAX_KEY_BYTES

# Names have at most 100 characters, and the gateway says which. A ref is some of them with steps, times and commits.
MAX_NAME: Final = 100
MAX_REF: Final = 500
# Lists of repositories show descriptions: a page of a thousand is 4 MB.
MAX_DESCRIPTION: Final = 4096
# Lists of commits show messages and metadata: a page of a thousand is 12 MB.
MAX_MESSAGE: Final = 8192
MAX_METADATA: Final = 4096
MAX_METADATA_COUNT: Final = 100
MAX_PATTERN: Final = 1024

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
Description = Annotated[str, Meta(max_length=MAX_DESCRIPTION)]
Ref = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_REF,
        description=(
            "A branch, a tag, a commit, or `branch=commit`; with `^`, `~2` or `.-2` the commits before it, with `.2` "
            "the second of the branch, with `@at-20261120t120000z` the state at a time."
        ),
    ),
]
Path = Annotated[
    str, Meta(min_length=1, max_length=MAX_KEY_BYTES, description="A file's path, without a slash before it.")
]
Message = Annotated[str, Meta(max_length=MAX_MESSAGE, description="What is to be said of the commit.")]
_Key = Annotated[str, Meta(min_length=1, max_length=MAX_METADATA)]
_Value = Annotated[str, Meta(max_length=MAX_METADATA)]
Metadata = Annotated[
    Mapping[_Key, _Value], Meta(max_length=MAX_METADATA_COUNT, description="Names and values to keep with the commit.")
]
After = Annotated[str, Meta(max_length=MAX_KEY_BYTES, description="Go on after this: `next` of the page before.")]
Limit = Annotated[int, Meta(ge=1, le=MAX_PAGE, description="How many at most.")]
FileLimit = Annotated[int, Meta(ge=1, le=MAX_FILES, description="How many at most.")]
