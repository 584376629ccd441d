"""Model files for other software: graphs from pixels to probabilities, and STAC items."""
