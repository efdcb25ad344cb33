"""How a registry is asked: on real sockets, against a registry that fails as told."""
