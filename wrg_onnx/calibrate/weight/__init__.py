"""W: the norm of a channel's filter, and the other numbers that weights alone give."""
