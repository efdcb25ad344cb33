"""``runner-bridge demo``: pulls through the real proxy on this machine alone, and what went over which wire."""
