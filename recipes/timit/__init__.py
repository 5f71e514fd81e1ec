"""Phone recognition on TIMIT, or on any table of recordings with phone strings."""
