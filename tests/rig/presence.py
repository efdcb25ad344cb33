"""The one place that decides what a missing program means: a skip here, a failure in CI."""

import os
import shutil

import pytest

PACKAGES = {
    "buildah": "buildah",
    "busybox": "busybox-static",
    "containerd": "containerd",
    "ctr": "containerd",
    "docker": "docker.io",
    "docker-registry": "docker-registry",
    "dockerd": "docker.io",
    "podman": "podman",
    "runc": "runc",
    "skopeo": "skopeo",
}
"""Program -> the Debian package that has it."""


def need(what: str, *programs: str, root: bool = False) -> None:
    """Go on only if these programs are here, and we are root where that is needed.

    With ``CI=true`` in the environment what is missing is a failure, so that a run in which nothing was tested
    does not look like a good one; elsewhere the test is skipped with a reason that names what was not tested.
    """
    missing = [f"{name} (package {PACKAGES[name]})" for name in programs if shutil.which(name) is None]
    if root and os.geteuid() != 0:
        missing.append("root")
    if not missing:
        return
    reason = f"not tested: {what}; missing: {', '.join(missing)}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
