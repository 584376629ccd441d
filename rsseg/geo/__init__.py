"""Where pixels lie: grids, windows, scenes to read, class rasters to write."""
