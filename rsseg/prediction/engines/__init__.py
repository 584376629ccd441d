"""Engines: a network on a device, from raw windows to class probabilities."""
