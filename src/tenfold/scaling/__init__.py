"""Laws of scale: read from small runs, fitted, and asked about large ones."""
