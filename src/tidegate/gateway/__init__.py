"""What an operation means. Every door comes through here: authorise, resolve the bucket, act.

The gateway knows no HTTP. It is given a principal, names and values, and it answers with structs or raises errors of
``tidegate.errors``.
"""

from tidegate.catalog.configuration import Cluster
from tidegate.catalog.listing import Details, Entry, Page, Sizes
from tidegate.catalog.uploads import Wanted
from tidegate.gateway.gateway import Gateway, open_gateway

__all__ = ["Cluster", "Details", "Entry", "Gateway", "Page", "Sizes", "Wanted", "open_gateway"]
