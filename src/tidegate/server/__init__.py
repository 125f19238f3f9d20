"""Puts the rooms together and runs them: processes and their sockets, one ASGI application in front of the doors.

``supervisor`` is the parent process, ``worker`` what each process it starts becomes, ``front`` the application of a
worker, ``house`` the rooms behind it. ``protocol`` and ``guard`` decide what of a client's bytes is let in. Nothing
here knows S3 beyond the shape of its error document.
"""
