"""The Python read API: the lake as frames, each row once and in order, with what is known to be missing. No ClickHouse."""
