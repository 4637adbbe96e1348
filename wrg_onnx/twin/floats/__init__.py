"""Quantised and half-precision graphs in the floats that a twin computes in."""
