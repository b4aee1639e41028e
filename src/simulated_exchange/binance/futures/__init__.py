"""Binance's futures markets, USD-M and COIN-M, as the simulated exchange has them: what differs from its spot market."""
