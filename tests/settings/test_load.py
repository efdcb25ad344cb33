"""Settings that can be used."""

import pickle
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from proxy_core.settings import (
    Group,
    Role,
    Server,
    Settings,
    Storage,
    Timeouts,
    Tokens,
    Upstream,
    User,
)
from proxy_core.settings.load import examine, load
from proxy_core.settings.problems import InvalidSettings
from proxy_core.settings.schema import keys
from tests.settings.written import HASH, STORAGE, loaded, refused, written

EVERYTHING = f"""
server:
  listen: '[::]:8443'
  external_url: https://Proxy.Example.com/
  workers: 4
  trusted_proxies: [10.0.0.0/8, 192.0.2.1]
  allow_plain_http: true
  stop_grace: 5m
storage:
  directory: /var/lib/runner-bridge
  max_size: 1TiB
  min_free: 2GB
  max_fills: 3
upstreams:
  docker.io: {{freshness: 30s}}
  quay.io:
    url: https://Quay.io/
    username: robot
    password_file: quay.password
    max_stale: 1d
    timeouts: {{connect: 500ms}}
    private_redirects: [fd00::/8]
    max_manifest: 4MiB
    max_blob: 10GB
groups:
  My-Group: {{}}
  my-group/off: {{enabled: false}}
users:
  dev:
    password_hash: '{HASH}'
    groups: {{MY-GROUP: guest, other/team: owner}}
tokens: {{lifetime: 1h}}
mirror: {{group: My-Group/Sub}}
"""


def test_every_key_becomes_a_value(tmp_path: Path) -> None:
    (tmp_path / "quay.password").write_text("s3cret\n")
    assert load(written(tmp_path, EVERYTHING), {}) == Settings(
        storage=Storage(Path("/var/lib/runner-bridge"), max_size=2**40, min_free=2 * 10**9, max_fills=3),
        server=Server(
            host="::",
            port=8443,
            external_url="https://proxy.example.com:443",
            workers=4,
            trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("192.0.2.1")),
            allow_plain_http=True,
            stop_grace=300.0,
        ),
        upstreams={
            "docker.io": Upstream("docker.io", "https://registry-1.docker.io", freshness=30.0),
            "quay.io": Upstream(
                "quay.io",
                "https://quay.io",
                username="robot",
                password="s3cret",
                max_stale=86400.0,
                timeouts=Timeouts(connect=0.5, read=30.0),
                private_redirects=(ip_network("fd00::/8"),),
                max_manifest=4 * 2**20,
                max_blob=10 * 10**9,
            ),
        },
        groups={"my-group": Group("my-group"), "my-group/off": Group("my-group/off", enabled=False)},
        users={"dev": User("dev", HASH, {"my-group": Role.GUEST, "other/team": Role.OWNER})},
        tokens=Tokens(3600.0),
        mirror="my-group/sub",
    )


def test_the_defaults_of_schema_and_model_are_the_same(tmp_path: Path) -> None:
    settings = loaded(tmp_path, STORAGE).settings
    hub = Upstream("docker.io", "https://registry-1.docker.io")
    assert settings == Settings(Storage(tmp_path / "data"), upstreams={"docker.io": hub})


def test_an_upstream_needs_no_url_and_docker_hub_needs_no_line(tmp_path: Path) -> None:
    upstreams = loaded(tmp_path, f"{STORAGE}upstreams: {{quay.io: {{}}, registry:5000: {{}}}}").settings.upstreams
    assert {name: upstream.url for name, upstream in upstreams.items()} == {
        "docker.io": "https://registry-1.docker.io",
        "quay.io": "https://quay.io",
        "registry:5000": "https://registry:5000",
    }


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://h", "https://h:443"),
        ("http://h", "http://h:80"),
        ("http://h:8080/", "http://h:8080"),
        ("https://[2001:DB8::1]", "https://[2001:db8::1]:443"),
    ],
)
def test_the_port_of_the_external_url_is_written_out(text: str, url: str, tmp_path: Path) -> None:
    assert loaded(tmp_path, f"{STORAGE}server: {{external_url: '{text}'}}").settings.server.external_url == url


def test_workers_get_the_settings_by_pickle(tmp_path: Path) -> None:
    (tmp_path / "quay.password").write_text("s3cret\n")
    settings = load(written(tmp_path, EVERYTHING), {})
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_no_secret_is_shown(tmp_path: Path) -> None:
    (tmp_path / "quay.password").write_text("s3cret\n")
    found = loaded(tmp_path, EVERYTHING)
    text = repr(found) + repr(found.settings)
    assert "s3cret" not in text
    assert HASH not in text
    assert {entry.key for entry in found.entries if entry.hidden} == {"users.dev.password_hash"}


@pytest.mark.parametrize(
    "text",
    [
        "upstreams: {quay.io: {password: s3cret}}",
        "upstreams: {quay.io: {url: 'https://robot:s3cret@quay.io'}}",
        "upstreams: {quay.io: {url: 'https://robot:s3cret@quay.io:99999'}}",
        "server: {external_url: 'https://u:s3cret@h/x'}",
        "users: {dev: s3cret}",
        "users: {dev: {password_hash: s3cret}}",
        "users: {dev: {password_hash: [s3cret]}}",
        "users: {dev: {password_hash: !s3cret x}}",
        "users: {dev: {password_hash: *s3cret}}",
        "users: {dev: {password_hash: 's3cret}}",
    ],
)
def test_a_secret_in_a_wrong_place_is_not_repeated(text: str, tmp_path: Path) -> None:
    problems = refused(tmp_path, STORAGE + text)
    assert problems
    assert "s3cret" not in "".join(map(str, problems))


NAMES = sorted({name for key in keys() for name in key.path} | {"docker.io", "my-group", "x", "*", "<<"})
WORDS = st.sampled_from(
    ["", "0s", "15m", "5GiB", "127.0.0.1:80", "https://h", "[", "~", "guest", HASH, "10.0.0.0/8", "\0", "://[", "h:x"]
)
SCALARS = st.none() | st.booleans() | st.integers(-2, 10**20) | st.floats() | WORDS | st.text(max_size=5)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=5) | ANYTHING)
def test_whatever_a_file_holds_it_is_loaded_or_refused(tmp_path_factory: pytest.TempPathFactory, tree: Any) -> None:
    file = tmp_path_factory.getbasetemp() / "anything.yaml"
    file.write_text(yaml.safe_dump(tree))
    try:
        examine(file, {})
    except InvalidSettings as error:
        for problem in error.problems:
            assert problem.cause
            assert problem.fix
            assert str(problem).count("\n") == 1
