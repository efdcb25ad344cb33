"""``/v2`` as clients see it: a request is parsed once, admitted, answered from the cache, and written once."""
