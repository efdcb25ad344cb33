"""Blobs by digest: a store of complete ones, and the spool in which they grow."""
