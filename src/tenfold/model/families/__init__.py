"""Families of models: each a ModelConfig for every published size, and a table of Hugging Face names. Not a line of arithmetic."""
