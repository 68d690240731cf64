"""Users: what is kept of them, and the views that list, search, read and add them."""
