"""Named runs as Python functions that return frozen dataclasses."""
