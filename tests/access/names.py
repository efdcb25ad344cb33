"""Names for property tests: of groups, repositories and upstreams, as they come and as they must not."""

from hypothesis import strategies as st

from proxy_core.reference import DOCKER_HUB, Image, Repository

_part = st.from_regex(r"[a-z0-9]{1,4}((\.|_|__|-)[a-z0-9]{1,3})?", fullmatch=True)
# Segments that make the marker, so that names come up in which it stands twice, in half or at an edge.
_segment = _part | st.sampled_from(["dependency_proxy", "containers"])

groups = st.lists(_segment | st.sampled_from([".hidden", "_x", "a.b"]), min_size=1, max_size=5).map("/".join)
paths = st.lists(_segment, min_size=1, max_size=5).map("/".join)
upstreams = st.sampled_from([DOCKER_HUB, "quay.io", "harbor.internal:8443", "localhost"])
hub_images = st.builds(lambda path: Repository(DOCKER_HUB, path), paths.filter(lambda path: "/" in path))
images = st.builds(Image, groups, st.builds(Repository, upstreams, paths) | hub_images)
wire_texts = (
    st.builds("{}/dependency_proxy/containers/{}".format, groups, paths)
    | st.builds("{}/dependency_proxy/containers/{}/{}".format, groups, upstreams, paths)
    | st.builds("{}/{}".format, upstreams, paths)
    | paths
    | st.text(max_size=40)
    | st.lists(_segment | st.text("aA./:_-", max_size=3), max_size=9).map("/".join)
)
