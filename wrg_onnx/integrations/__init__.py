"""Pruning as a step of other tools; what each needs is an extra of its own."""
