"""Buckets that somebody else keeps: the remote is the truth, what is here of it is a cache that may go at any time.

``upstreams`` has the ways to remotes, ``turns`` the order of writes and what may be trusted while one is under way;
``writing`` and ``listing`` go to the remote, ``reading`` and ``fills`` keep what comes from there.
"""
