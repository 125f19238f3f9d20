"""The door of the repositories: REST and JSON at ``/v2``, described by OpenAPI at ``/v2/openapi.json``.

It says in HTTP what the gateway does with projects, repositories, branches, commits, tags and files. It decides nothing
itself: what is allowed, what is atomic and what a ref means is the gateway's.
"""
