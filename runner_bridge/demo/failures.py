"""What stops a demo."""

from proxy_core.errors import ProxyError


class DemoFailed(ProxyError):
    """The proxy did not start, or a pull did not go through."""
