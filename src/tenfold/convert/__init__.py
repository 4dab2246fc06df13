"""Models of other programs in, and ours out, as files."""
