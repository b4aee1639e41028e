"""What is on this machine's disk before it is in the lake: segments, objects that wait, what was seen last."""
