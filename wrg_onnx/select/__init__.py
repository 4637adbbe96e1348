"""From statistics to the units that die: criteria, budgets and the choice. Pure numpy."""
