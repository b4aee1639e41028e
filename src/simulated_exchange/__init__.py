"""A Binance- and KuCoin-compatible exchange for tests and demos: `python -m simulated_exchange`, or `server.running_exchange`.

Nothing is re-exported here: `app` needs aiohttp (the `embedded` extra), and the command must be able to say so.
"""
