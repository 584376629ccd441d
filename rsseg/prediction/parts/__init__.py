"""Finished shards and the plan they belong to, in a folder or in an object store."""
