"""Real container clients against the real proxy, with a real registry as its upstream."""
