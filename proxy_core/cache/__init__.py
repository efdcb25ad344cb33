"""What to serve: how fresh a manifest is, how a blob is filled, what may be removed."""
