"""`python -m tickhouse`: the same as the command `tickhouse`."""

from tickhouse.cli import main

main()
