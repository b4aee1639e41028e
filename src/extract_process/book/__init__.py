"""The order book: how diffs and snapshots become it, and how it is proven right."""
