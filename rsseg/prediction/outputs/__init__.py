"""Outputs: checked before, joined from finished shards, described, and taken to their place."""
