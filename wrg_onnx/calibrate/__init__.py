"""Input batches, taps on intermediate tensors, and the statistics W, R and G."""
