"""The schema's history; see `tokendealer.database`."""
