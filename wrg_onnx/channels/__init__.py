"""Id arrays: which positions of which tensors live or die together."""
