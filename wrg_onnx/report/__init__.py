"""The result as JSON and as terminal text."""
