"""KuCoin's dialect, REST API and topics: the classic public feed of spot, which needs no account."""
