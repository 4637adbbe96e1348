"""What operators of a family compute by; no operator is registered here."""
