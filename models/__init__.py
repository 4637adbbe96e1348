"""Torch definitions of the nets that examples and tests export; see README.md."""
