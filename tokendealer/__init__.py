"""tokendealer."""
