"""PURE. The generated market: prices, candles, order books and trades from a seed, the same at every venue."""
