"""What a running server tells about itself: metrics, an access log, and how log lines are written.

Nothing here may hold a secret: no key but a principal's public id, no signature, no bucket or object name in a metric.
"""
