"""Excel's conditional formatting as a language: read, write, check, run on cells, put into a workbook, make up at random."""
