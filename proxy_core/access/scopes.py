"""The ``scope`` parameters of a token request (docker's token authentication specification).

``repository:NAME:pull`` names an image that the client is about to pull. A scope of another type, with other actions,
or of a name that is no image here, is ignored, as the specification wants: the token then simply does not cover it.
"""

from collections.abc import Iterable
from typing import Final

from proxy_core.errors import NameInvalid, NameUnknown, Unsupported
from proxy_core.reference import Image, parse_wire_name

#: Clients ask for one image, a build for a few. A token of more would no longer fit into a header.
MAX_SCOPES: Final = 16
MAX_SCOPE_TEXT: Final = 8 * 1024  # characters, all together


def images_asked(values: Iterable[str], mirror: str | None) -> tuple[Image, ...]:
    """The images that someone asks to pull, each once, in the order asked.

    :param values: the values of all ``scope`` parameters; each may hold several scopes, parted by spaces.
    :param mirror: the group to which names without a group belong; ``None``: to none.
    :raises Unsupported: with status 400: more scopes, or longer ones, than a token can hold.
    """
    values = list(values)
    if sum(map(len, values)) > MAX_SCOPE_TEXT:
        raise _too_much()
    scopes = [scope for value in values for scope in value.split(" ") if scope]
    if len(scopes) > MAX_SCOPES:
        raise _too_much()
    asked = (_image_pulled(scope, mirror) for scope in scopes)
    return tuple(dict.fromkeys(image for image in asked if image is not None))


def wire_name(text: str, mirror: str | None) -> Image | None:
    """The image of a wire name, or ``None`` when it names none."""
    try:
        return parse_wire_name(text, mirror)
    except (NameInvalid, NameUnknown):
        return None


def _image_pulled(scope: str, mirror: str | None) -> Image | None:
    # Names may have colons (of a registry's port), types and actions have none: hence from both ends.
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    if kind != "repository" or "pull" not in actions.split(","):
        return None
    return wire_name(name, mirror)


def _too_much() -> Unsupported:
    return Unsupported(
        "The token is asked for too many images at once.",
        f"Ask for at most {MAX_SCOPES}, in at most {MAX_SCOPE_TEXT} characters.",
        status=400,
    )
