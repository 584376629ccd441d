"""From the probabilities of overlapping windows to what is written of each pixel."""
