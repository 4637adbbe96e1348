"""G: what a channel's removal does to the loss, to first order, from a backward pass."""
