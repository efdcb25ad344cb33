"""A pull-through cache for container images that speaks GitLab's Dependency Proxy on the wire."""

__version__ = "0.1.0"
