"""The S3 door: Amazon's REST API at ``/s3`` and at ``/``.

It turns bytes into an operation (route, verify the signature, unwrap the body), asks the gateway, and turns the outcome
back into bytes. It never touches the catalog or a file.
"""
