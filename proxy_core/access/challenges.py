"""What a client is told when it must log in: challenges (RFC 9110, section 11) and the command to type."""

from typing import Final

from proxy_core.errors import Unauthorized

#: The name of this service in challenges and token requests, and the audience of pull tokens. GitLab's.
SERVICE: Final = "dependency_proxy"


def bearer_challenge(external_url: str, *, wire_name: str | None = None, error: str | None = None) -> str:
    """``WWW-Authenticate`` of ``/v2/``, in the order and the form in which GitLab and docker's registry write it.

    :param wire_name: of the image that was asked for; without it the challenge has no scope.
    :param error: ``invalid_token`` or ``insufficient_scope`` (RFC 6750, section 3.1), when a token was shown.
    """
    challenge = f'Bearer realm="{external_url}/jwt/auth",service="{SERVICE}"'
    if wire_name is not None:
        challenge += f',scope="repository:{wire_name}:pull"'
    if error is not None:
        challenge += f',error="{error}"'
    return challenge


def basic_challenge() -> str:
    """``WWW-Authenticate`` of the token endpoint."""
    return f'Basic realm="{SERVICE}",charset="UTF-8"'


def login_needed(external_url: str, cause: str, challenge: str) -> Unauthorized:
    """A 401 whose next step is to log in."""
    fix = f"Log in: {login_command(external_url)} (clients keep credentials for exactly this host and port)."
    return Unauthorized(cause, fix, headers={"WWW-Authenticate": challenge})


def login_command(external_url: str) -> str:
    """What to type to log in here."""
    return f"docker login {external_url.partition('://')[2]}"
