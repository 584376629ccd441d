"""Land-cover segmentation of large georeferenced scenes."""

__version__ = "0.1.0"
