"""Fine-tuning through the torch twin, with the original as the teacher."""
