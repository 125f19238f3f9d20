"""Benchmarks of Tidegate beside a peer, ``rclone serve s3``: ``make bench``. See README.md for what each number means.

A tool for development: nothing in the product imports it.
"""
