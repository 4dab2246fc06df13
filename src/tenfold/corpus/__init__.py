"""Documents in, clean documents out."""
