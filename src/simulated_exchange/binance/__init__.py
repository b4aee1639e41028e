"""The simulated Binance: REST, bulk archive, websockets and their limits."""
