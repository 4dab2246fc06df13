"""The files of runs as one HTML page; knows files, not rooms."""
