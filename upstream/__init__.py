"""The example protected service: the data service, which keeps users."""
