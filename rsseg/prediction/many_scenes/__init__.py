"""Many scenes with one command, each resumable by itself."""
