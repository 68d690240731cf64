"""Who calls: bearer tokens, the keys that verify them, and the scopes that a view requires."""
