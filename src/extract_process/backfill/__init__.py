"""History: what the lake lacks of klines is asked for and landed, month by month."""
