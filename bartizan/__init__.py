"""bartizan."""
