"""Rules that a document keeps or breaks: each has a name, a sentence and thresholds, and is switched on by itself."""
