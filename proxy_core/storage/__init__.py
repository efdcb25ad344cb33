"""Where the cache lives: blobs in a store, everything else in an index."""
