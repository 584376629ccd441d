"""One module per dataset: from the layout its authors publish to a catalogue."""
