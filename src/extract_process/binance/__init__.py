"""Binance spot: its letters in our words, its REST API, its bulk archive."""
