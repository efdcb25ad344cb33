"""Every key by the environment."""

from pathlib import Path

import pytest

from proxy_core.settings import Role
from proxy_core.settings.load import examine, load
from proxy_core.settings.problems import InvalidSettings, Origin
from proxy_core.settings.schema import keys
from proxy_core.settings.sources import variable_of
from tests.settings.written import HASH, STORAGE, loaded, refused


def test_a_variable_replaces_what_the_file_says(tmp_path: Path) -> None:
    environ = {"RUNNER_BRIDGE_SERVER__WORKERS": "7", "RUNNER_BRIDGE_SERVER__LISTEN": "[::1]:9090", "OTHER": "x"}
    found = loaded(tmp_path, f"{STORAGE}server: {{workers: 3, stop_grace: 1s}}", environ)
    server = found.settings.server
    assert (server.workers, server.host, server.port, server.stop_grace) == (7, "::1", 9090, 1.0)
    assert server.external_url == "http://[::1]:9090"
    origins = {entry.key: entry.origin for entry in found.entries}
    assert origins["server.workers"] == Origin(variable="RUNNER_BRIDGE_SERVER__WORKERS")
    assert str(origins["server.stop_grace"]) == f"{tmp_path}/proxy.yaml:2"
    assert str(origins["server.allow_plain_http"]) == "default"


def test_no_file_is_needed(tmp_path: Path) -> None:
    settings = load(None, {"RUNNER_BRIDGE_STORAGE__DIRECTORY": str(tmp_path), "RUNNER_BRIDGE_CONFIG": "not read"})
    assert settings.storage.directory == tmp_path


def test_without_anything_it_says_how_to_begin() -> None:
    with pytest.raises(InvalidSettings) as caught:
        load(None, {})
    assert str(caught.value) == (
        "environment: storage.directory: is missing.\n"
        "  fix: Name a file with --config or RUNNER_BRIDGE_CONFIG, or set RUNNER_BRIDGE_STORAGE__DIRECTORY."
    )


def test_mappings_with_free_names_are_one_variable(tmp_path: Path) -> None:
    environ = {
        "RUNNER_BRIDGE_UPSTREAMS": '{"quay.io": {"freshness": "5m"}, "h.lan:5000": {"url": "http://127.0.0.1:1"}}',
        "RUNNER_BRIDGE_GROUPS": "{Team/App: {enabled: false}}",
        "RUNNER_BRIDGE_USERS": f'{{"dev": {{"password_hash": "{HASH}", "groups": {{"Team": "owner"}}}}}}',
    }
    found = loaded(tmp_path, f"{STORAGE}groups: {{other: {{}}}}", environ)
    settings = found.settings
    assert set(settings.upstreams) == {"docker.io", "quay.io", "h.lan:5000"}
    assert settings.upstreams["quay.io"].freshness == 300
    assert {path: group.enabled for path, group in settings.groups.items()} == {"team/app": False}
    assert settings.users["dev"].groups == {"team": Role.OWNER}
    origins = {entry.key: str(entry.origin) for entry in found.entries}
    assert origins["upstreams.quay.io.freshness"] == "environment RUNNER_BRIDGE_UPSTREAMS"
    assert origins["upstreams.quay.io.max_stale"] == "default"


def test_a_section_as_a_whole_and_a_key_of_it(tmp_path: Path) -> None:
    environ = {
        "RUNNER_BRIDGE_SERVER": '{"workers": 5, "trusted_proxies": ["10.0.0.0/8"]}',
        "RUNNER_BRIDGE_SERVER__WORKERS": "6",
        "RUNNER_BRIDGE_MIRROR__GROUP": "My-Group",
    }
    settings = loaded(tmp_path, f"{STORAGE}groups: {{my-group: {{}}}}\nserver: {{listen: x}}", environ).settings
    assert (settings.server.workers, str(settings.server.trusted_proxies[0])) == (6, "10.0.0.0/8")
    assert settings.mirror == "my-group"


def test_relative_paths_start_where_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = tmp_path / "started"
    started.mkdir()
    monkeypatch.chdir(started)
    (tmp_path / "proxy.yaml").write_text(STORAGE)
    assert load(Path("../proxy.yaml"), {}).storage.directory == tmp_path / "data"
    environ = {"RUNNER_BRIDGE_STORAGE__DIRECTORY": "./data"}
    assert load(Path("../proxy.yaml"), environ).storage.directory == started / "data"


@pytest.mark.parametrize(
    ("variable", "value", "key", "cause", "fix"),
    [
        ("SERVER__LISTN", "x", "", "is not a known variable", "Did you mean RUNNER_BRIDGE_SERVER__LISTEN?"),
        ("SERVER_LISTEN", "x", "", "is not a known variable", "Did you mean RUNNER_BRIDGE_SERVER__LISTEN?"),
        ("CONFG", "x", "", "is not a known variable", "Did you mean RUNNER_BRIDGE_CONFIG?"),
        ("QQQQ", "x", "", "is not a known variable", "Unset it, or write e.g. RUNNER_BRIDGE_SERVER__LISTEN."),
        ("UPSTREAMS__QUAY_IO__URL", "x", "", "is not a known", "the whole mapping into RUNNER_BRIDGE_UPSTREAMS, as"),
        ("SERVER__LISTEN", "x", "server.listen", "a port from 1 to", "127.0.0.1:8080"),
        ("SERVER__LISTEN", "", "server.listen", "a port from 1 to", "127.0.0.1:8080"),
        ("SERVER__WORKERS", "many", "server.workers", "must be a whole number, and is text", "e.g. 2"),
        ("SERVER__WORKERS", "", "server.workers", "is empty", "Give it a value"),
        ("SERVER__ALLOW_PLAIN_HTTP", "1", "server.allow_plain_http", "must be true or false", "Write true."),
        ("SERVER__TRUSTED_PROXIES", "[", "server.trusted_proxies", "can not be read", "as JSON"),
        ("GROUPS", '{"a": {"x": 1}}', "groups.a.x", "not a known key", "Known here: enabled."),
        ("GROUPS", '{"a": {}, "a": {}}', "groups.a", "stands twice", "Keep one"),
    ],
)
def test_a_wrong_variable_is_named(variable: str, value: str, key: str, cause: str, fix: str, tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, STORAGE, {f"RUNNER_BRIDGE_{variable}": value})
    place = f"environment RUNNER_BRIDGE_{variable}: {key}: " if key else f"environment RUNNER_BRIDGE_{variable}: "
    assert str(problem).startswith(place)
    assert cause in problem.cause
    assert fix in problem.fix


def test_every_key_that_has_room_has_a_variable() -> None:
    wanted = [key for key in keys() if key.leaf and not key.free and "tls" not in key.path]
    environ = {variable_of(key.path): str(key.schema["examples"][0]) for key in wanted}
    environ |= {"RUNNER_BRIDGE_GROUPS": "{my-group: {}}", "RUNNER_BRIDGE_SERVER__EXTERNAL_URL": "http://h:1"}
    origins = {entry.key: entry.origin for entry in examine(None, environ).entries}
    assert {str(key): origins[str(key)].variable for key in wanted} == {
        str(key): variable_of(key.path) for key in wanted
    }
