"""One reader for each kind of source: a file in, records and refusals out."""
