"""Drawings that need no script: SVG whose widths are shares of what is there, and its texts not."""
