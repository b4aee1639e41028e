"""The front door for people: one command line over the processes, and everything in one process for a laptop."""
