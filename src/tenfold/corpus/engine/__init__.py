"""The corpus's stages as Daft dataframes over Parquet: the same expressions on one machine and on a Ray cluster."""
