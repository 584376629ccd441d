"""From a plan to finished shards: read, score and blend, on one device or several."""
