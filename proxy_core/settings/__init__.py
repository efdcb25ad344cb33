"""Settings: a file and the environment, checked against a schema, as frozen values."""

from proxy_core.settings.model import (
    Group,
    Network,
    Role,
    Server,
    Settings,
    Storage,
    Timeouts,
    Tls,
    Tokens,
    Upstream,
    User,
)

__all__ = [
    "Group",
    "Network",
    "Role",
    "Server",
    "Settings",
    "Storage",
    "Timeouts",
    "Tls",
    "Tokens",
    "Upstream",
    "User",
]
