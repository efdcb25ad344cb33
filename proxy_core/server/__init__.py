"""Processes, signals, TLS: the server around the application."""

from proxy_core.server.supervisor import serve

__all__ = ["serve"]
