"""The door at ``/v1``: AIStore's native REST API, as its command line and its SDKs speak it.

It knows AIStore's wire format and nothing else: what an operation means is the gateway's business, and who may do it
is decided there. It never redirects: one address answers everything.
"""
