"""Model files for other software."""
