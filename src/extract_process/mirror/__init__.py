"""The mirror: publishes the live book, trades and tickers to Pub/Sub, `python -m extract_process.mirror`."""
