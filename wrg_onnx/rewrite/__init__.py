"""From a plan to a smaller graph, and the proof that it is right."""
