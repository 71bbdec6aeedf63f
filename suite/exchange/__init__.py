"""Exchange with other tools: their results as records marked "imported", and ours in their formats."""
