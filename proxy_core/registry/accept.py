"""The ``Accept`` of a request for a manifest (RFC 9110, section 12.5.1)."""

from collections.abc import Collection

_TYPES_OF_AN_INDEX = frozenset(
    {"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"}
)
_TYPES_OF_AN_IMAGE = frozenset(
    {"application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"}
)


def parse_accept(values: Collection[str]) -> frozenset[str]:
    """The media types that a client takes, from one ``Accept`` header or from several, which count as one.

    Types with a weight of zero are refused ones and left out. Parameters and weights are of no use here otherwise: a
    digest is one sequence of bytes with one type.
    """
    accepted = set()
    for element in ",".join(values).split(","):
        media_type, *parameters = (part.strip().lower() for part in element.split(";"))
        if media_type and not any(_is_zero(parameter) for parameter in parameters):
            accepted.add(media_type)
    return frozenset(accepted)


def is_index(media_type: str) -> bool:
    return media_type in _TYPES_OF_AN_INDEX


def wants_one_platform(accepted: Collection[str]) -> bool:
    """Whether a client names the types of an image's manifest and none of an index, nor a wildcard.

    Docker's registry and Docker Hub answer such a client, when it asks for the tag of an index, with the manifest for
    linux/amd64; scripts rely on that.
    """
    if not any(media_type in _TYPES_OF_AN_IMAGE for media_type in accepted):
        return False
    return not any(media_type in _TYPES_OF_AN_INDEX or media_type.endswith("/*") for media_type in accepted)


def _is_zero(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip() == "q" and value.strip() in ("0", "0.", "0.0", "0.00", "0.000")
