"""The simulator's KuCoin: the same instruments and prices as the other venue's, in books and spelling of its own."""
