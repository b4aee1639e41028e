"""The live capture: from frames to rows, events and requests."""
