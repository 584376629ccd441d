"""Labelled scenes without torch: catalogues, labels, samplers, datasets."""
