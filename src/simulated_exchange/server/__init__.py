"""What the venues share: sockets, faults, tallies, recordings and the clock."""
