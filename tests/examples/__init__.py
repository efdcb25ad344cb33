"""The examples run as they stand, and the README tells the truth about what can be looked up."""
