"""The toy venue's messages, its REST API and its streams."""
