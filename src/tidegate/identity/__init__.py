"""Who may do what: users, their access keys, passwords, roles and tokens, and the secrets, which only this room can
read.
"""

from tidegate.identity.keys import Identity, NewKey

__all__ = ["Identity", "NewKey"]
