"""From the venues to Parquet in the lake."""
