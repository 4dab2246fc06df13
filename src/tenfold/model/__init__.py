"""The Transformer as functions of named arrays."""
