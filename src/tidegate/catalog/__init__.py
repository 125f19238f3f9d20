"""Names -> versions -> blobs. Every transaction of Tidegate is a function in this room.

``Driver.read`` and ``Driver.write`` run functions of the modules here (``buckets``, ``versions``, ``listing``,
``uploads``, ``blobs``, ``users``); the gateway composes them. Nothing here does I/O but through the driver, and nothing
here knows HTTP or files.
"""
