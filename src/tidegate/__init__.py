"""Tidegate: one S3 endpoint for machine-learning data."""

__version__ = "0.1.0"
