"""The sections of a page, each from a report, in a file of its own."""
