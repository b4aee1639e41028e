"""A recorded lake served as the venue itself: rows become messages again, in order of the venue's time, with the books beside."""
