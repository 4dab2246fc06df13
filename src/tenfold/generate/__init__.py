"""Decoding on the one forward pass."""
