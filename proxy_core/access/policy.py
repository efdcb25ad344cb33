"""Which groups are served, what a role is worth, and what members and strangers are told.

GitLab answers 404 for a group that is absent, hidden or without a role, so that nobody can feel out which groups
there are. So does this; but the body says what may be the matter, and members of a group learn the true cause.
"""

from collections.abc import Mapping

from proxy_core.errors import Denied, NameUnknown
from proxy_core.settings.model import Role, Settings


def role_in(roles: Mapping[str, Role], group: str) -> Role | None:
    """The role held in a group: the highest of those held there and in the groups above it.

    As in GitLab, what is inherited can be raised further down, not lowered.

    :param roles: by full path of the group.
    """
    held = roles.get(group)
    while slash := group.rfind("/") + 1:
        group = group[: slash - 1]
        above = roles.get(group)
        if above is not None and (held is None or above > held):
            held = above
    return held


def demand_pull(settings: Settings, group: str, role: Role | None) -> None:
    """Nothing, if the holder of the role may pull from the group. Each role may: Guest is the lowest.

    :raises NameUnknown: to strangers always the same; to members: the group is not served.
    :raises Denied: to members: the group is switched off.
    """
    if role is None:
        raise NameUnknown(
            f"The group {group} has no Dependency Proxy here, or you have no role in it.",
            "Check the path of the group; then ask one of its Owners for the role of Guest, "
            "and whoever runs this proxy whether the group is served and switched on.",
        )
    served = settings.group_of(group)
    if served is None:
        raise NameUnknown(
            f"You have a role in the group {group}, but neither it nor a group above it is served here.",
            "Ask whoever runs this proxy to add it to `groups:` of the configuration.",
        )
    if not served.enabled:
        raise Denied(
            f"The Dependency Proxy of the group {group} is switched off.",
            f"Ask whoever runs this proxy to set `enabled: true` for {served.path} under `groups:` "
            "of the configuration.",
        )
