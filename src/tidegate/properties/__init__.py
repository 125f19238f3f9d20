"""What a bucket, or the whole system, is set to do: AIStore's tree of properties, typed, with its defaults.

Pure values. ``tree`` has the structs, ``change`` how they are changed and which of them this system acts on. What it
does not act on can be read, and cannot be set to anything else: nothing is silently kept.
"""

from tidegate.properties.change import change, flatten, nest, present, rebuild
from tidegate.properties.tree import BackendBucket, BucketProperties, Configuration, evictable, inherited

__all__ = [
    "BackendBucket",
    "BucketProperties",
    "Configuration",
    "change",
    "evictable",
    "flatten",
    "inherited",
    "nest",
    "present",
    "rebuild",
]
