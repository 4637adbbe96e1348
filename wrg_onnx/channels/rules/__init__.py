"""One rule per operator family."""
