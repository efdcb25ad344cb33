"""Each wrong key, type, unit and name stops the start, with its file, line and key, and with what to write instead."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from proxy_core.settings.load import examine
from proxy_core.settings.problems import InvalidSettings
from tests.settings.written import HASH, STORAGE, refused


@dataclass(frozen=True)
class Wrong:
    """A text (below a good `storage`, so that its first line is line 2), and what its only problem must say."""

    text: str
    line: int
    key: str
    cause: str
    fix: str

    def __str__(self) -> str:
        return f"{self.key}: {self.cause}"


USER = f"users: {{dev: {{password_hash: '{HASH}'"

UNKNOWN_KEYS = [
    Wrong("server:\n  lisen: 127.0.0.1:80\n", 3, "server.lisen", "not a known key", "Did you mean listen?"),
    Wrong("server: {external-url: x}", 2, "server.external-url", "not a known key", "Did you mean external_url?"),
    Wrong("sever: {}", 2, "sever", "not a known key", "Did you mean server?"),
    Wrong("listen: 127.0.0.1:80", 2, "listen", "not a known key", "Did you mean server.listen?"),
    Wrong("upstreams: {quay.io: {password: x}}", 2, "upstreams.quay.io.password", "not a", "mean password_file?"),
    Wrong("upstreams:\n  quay.io:\n    ca: x\n", 4, "upstreams.quay.io.ca", "not a known", "mean ca_file?"),
    Wrong("upstreams: {quay.io: {timeouts: {reed: 1s}}}", 2, "upstreams.quay.io.timeouts.reed", "not", "mean read?"),
    Wrong("groups: {a: {enable: true}}", 2, "groups.a.enable", "not a known key", "Did you mean enabled?"),
    Wrong("tokens: {life_time: 1h}", 2, "tokens.life_time", "not a known key", "Did you mean lifetime?"),
    Wrong("mirror: {group: a, x: 1}\ngroups: {a: {}}", 2, "mirror.x", "not a known key", "Known here: group."),
    Wrong("<<: {}", 2, "<<", "not a known key", "Merge keys are not read"),
    Wrong("server: {qqq: 1}", 2, "server.qqq", "not a known key", "Known here: listen, external_url, workers,"),
]

TYPES = [
    Wrong("server: {workers: two}", 2, "server.workers", "must be a whole number, and is text", "e.g. 2"),
    Wrong("server: {workers: true}", 2, "server.workers", "must be a whole number, and is true or false", "e.g. 2"),
    Wrong("server: {workers: 1.5}", 2, "server.workers", "must be a whole number, and is a number", "e.g. 2"),
    Wrong("server: {workers: 0}", 2, "server.workers", "0 is not from 1 to 128", "e.g. 2"),
    Wrong("server: {workers: 1000}", 2, "server.workers", "1000 is not from 1 to 128", "e.g. 2"),
    Wrong("server: {listen: 8080}", 2, "server.listen", "must be text, and is a whole", "127.0.0.1:8080"),
    Wrong("server: {listen: }", 2, "server.listen", "is empty", "Give it a value"),
    Wrong("server: {allow_plain_http: yes}", 2, "server.allow_plain_http", "must be true or false", "Write true."),
    Wrong("server: {allow_plain_http: 'off'}", 2, "server.allow_plain_http", "must be true or", "Write false."),
    Wrong("server: {trusted_proxies: 10.0.0.0/8}", 2, "server.trusted_proxies", "must be a list", "[10.0.0.0/8]"),
    Wrong("server: {trusted_proxies: [7]}", 2, "server.trusted_proxies[0]", "must be text", "10.0.0.0/8"),
    Wrong("server: {tls: true}", 2, "server.tls", "must be a mapping", "certificate_file, key_file"),
    Wrong("server: []", 2, "server", "must be a mapping, and is a list", "listen"),
    Wrong("server:\n", 2, "server", "is empty", "Write {}, or remove the line."),
    Wrong("groups: [my-group]", 2, "groups", "must be a mapping, and is a list", "Below it stands: PATH."),
    Wrong("groups:\n  a:\n", 3, "groups.a", "is empty", "Write {}, or remove the line."),
    Wrong("groups: {a: true}", 2, "groups.a", "must be a mapping", "Below it stands: enabled."),
    Wrong("users: {dev: secret}", 2, "users.dev", "must be a mapping, and is text", "password_hash, groups"),
    Wrong("upstreams: {quay.io: https://quay.io}", 2, "upstreams.quay.io", "must be a mapping", "url, username"),
    Wrong("upstreams: {quay.io: {url: !x y}}", 2, "upstreams.quay.io.url", "has a tag", "begins with !"),
    Wrong("tokens: {lifetime: 1h}\ntokens: {}", 3, "tokens", "stands twice, first in line 2", "Keep one"),
]

UNITS = [
    Wrong("tokens: {lifetime: 15}", 2, "tokens.lifetime", "a number with a unit, and is a whole number", "15m"),
    Wrong("tokens: {lifetime: 15min}", 2, "tokens.lifetime", "unit that is not known", "Did you mean 15m?"),
    Wrong("tokens: {lifetime: soon}", 2, "tokens.lifetime", "'soon' is not a duration", "e.g. 15m"),
    Wrong("tokens: {lifetime: 0s}", 2, "tokens.lifetime", "0s is too little: the least is 1s", "15m"),
    Wrong("tokens: {lifetime: 2d}", 2, "tokens.lifetime", "2d is too much: the most is 1d", "15m"),
    Wrong("server: {stop_grace: 60}", 2, "server.stop_grace", "must be a number with a unit", "60s"),
    Wrong("server: {stop_grace: 2h}", 2, "server.stop_grace", "2h is too much: the most is 1h", "60s"),
    Wrong("upstreams: {quay.io: {max_blob: 5gb}}", 2, "upstreams.quay.io.max_blob", "unit", "Did you mean 5GB?"),
    Wrong("upstreams: {quay.io: {max_manifest: 1GiB}}", 2, "upstreams.quay.io.max_manifest", "too much", "10MiB"),
    Wrong("upstreams: {docker.io: {freshness: 1w}}", 2, "upstreams.docker.io.freshness", "unit", "ms, s, m, h, d"),
    Wrong("upstreams: {docker.io: {max_stale: ''}}", 2, "upstreams.docker.io.max_stale", "not a duration", "15m"),
]

NAMES = [
    Wrong("upstreams: {quay: {}}", 2, "upstreams.quay", "not the name of a registry", "a host with a dot or a port"),
    Wrong("upstreams: {Quay.io: {}}", 2, "upstreams.Quay.io", "upper case", "Write quay.io."),
    Wrong("upstreams: {index.docker.io: {}}", 2, "upstreams.index.docker.io", "Docker Hub", "Write docker.io."),
    Wrong("upstreams: {'https://quay.io': {}}", 2, "upstreams.https://quay.io", "not the name", "e.g. quay.io"),
    Wrong("groups: {'*': {}}", 2, "groups.*", "this version does not ask GitLab", "full paths"),
    Wrong("groups: {/a/b/: {}}", 2, "groups./a/b/", "not the path of a group", "Did you mean a/b?"),
    Wrong("groups: {a b: {}}", 2, "groups.a b", "not the path of a group", "my-group/subgroup"),
    Wrong("groups: {a.git: {}}", 2, "groups.a.git", "not the path of a group", "my-group/subgroup"),
    Wrong("groups: {A/b: {}, a/B: {}}", 2, "groups.a/B", "is the same group as a/b", "Keep one"),
    Wrong(f"users: {{'d:e': {{password_hash: '{HASH}'}}}}", 2, "users.d:e", "not a user name", "without ':'"),
    Wrong("users: {dev: {}}", 2, "users.dev.password_hash", "is missing", "password_hash: '$argon2id$"),
    Wrong("users: {dev: {password_hash: plain}}", 2, "users.dev.password_hash", "not an argon2id", "hash-password"),
    Wrong(f"users: {{dev: {{password_hash: '{HASH[:-1]}'}}}}", 2, "users.dev.password_hash", "not an argon2id", "$"),
    Wrong(f"{USER}, groups: {{a: gest}}}}}}\ngroups: {{a: {{}}}}", 2, "users.dev.groups.a", "none of", "guest."),
    Wrong(f"{USER}, groups: {{a: x}}}}}}\ngroups: {{a: {{}}}}", 2, "users.dev.groups.a", "'x'", "guest or owner"),
    Wrong(f"{USER}, groups: {{a b: guest}}}}}}", 2, "users.dev.groups.a b", "not the path of a group", "full path"),
    Wrong(f"{USER}, roles: {{}}}}}}", 2, "users.dev.roles", "not a known key", "Known here: password_hash, groups."),
    Wrong("mirror: {group: my-group}", 2, "mirror.group", "my-group is not served", "to groups"),
    Wrong("mirror: {}", 2, "mirror.group", "is missing", "group: my-group"),
]

ADDRESSES = [
    Wrong("server: {listen: 127.0.0.1}", 2, "server.listen", "has no port", "127.0.0.1:8080"),
    Wrong("server: {listen: ':8080'}", 2, "server.listen", "IP address", "0.0.0.0:8080"),
    Wrong("server: {listen: 'localhost:80'}", 2, "server.listen", "begins with a name", "Write 127.0.0.1:80."),
    Wrong("server: {listen: 'proxy:80'}", 2, "server.listen", "IP address", "127.0.0.1:8080"),
    Wrong("server: {listen: '::1:80'}", 2, "server.listen", "in brackets", "Write '[::1]:80'."),
    Wrong("server: {listen: '127.0.0.1:0'}", 2, "server.listen", "a port from 1 to 65535", "127.0.0.1:8080"),
    Wrong("server: {listen: '127.0.0.1:70000'}", 2, "server.listen", "a port from 1 to 65535", "127.0.0.1:8080"),
    Wrong("server: {listen: '[127.0.0.1]:80'}", 2, "server.listen", "IP address", "'[::1]:8080'"),
    Wrong("server: {listen: '[fe80::1%eth0]:80'}", 2, "server.listen", "IP address", "'[::1]:8080'"),
    Wrong("server: {external_url: proxy}", 2, "server.external_url", "not a URL", "https://proxy.example.com"),
    Wrong("server: {external_url: 'ftp://p'}", 2, "server.external_url", "not a URL", "https://proxy.example.com"),
    Wrong("server: {external_url: 'http://p/x'}", 2, "server.external_url", "has a path", "Write http://p:"),
    Wrong("server: {external_url: 'http://p?x'}", 2, "server.external_url", "a query", "Take away"),
    Wrong("server: {external_url: 'http://p:99999'}", 2, "server.external_url", "not a URL", "https://proxy"),
    Wrong("server: {external_url: 'http://a_b'}", 2, "server.external_url", "container clients refuse", "letters"),
    Wrong("server: {external_url: 'http://u@p'}", 2, "server.external_url", "a user name", "Take them away"),
    Wrong("server: {trusted_proxies: [10.0.0.1/8]}", 2, "server.trusted_proxies[0]", "within", "Write 10.0.0.0/8"),
    Wrong("server:\n  trusted_proxies:\n    - ::1\n    - x\n", 5, "server.trusted_proxies[1]", "'x'", "10.0.0.1"),
    Wrong("upstreams: {quay.io: {url: quay.io}}", 2, "upstreams.quay.io.url", "not a URL", "https://quay.io"),
    Wrong("upstreams: {quay.io: {url: 'http://h/v2/'}}", 2, "upstreams.quay.io.url", "version", "/v2 away"),
    Wrong("upstreams: {quay.io: {url: 'https://u:p@h'}}", 2, "upstreams.quay.io.url", "password", "password_file"),
    Wrong("upstreams: {quay.io: {private_redirects: [x]}}", 2, "upstreams.quay.io.private_redirects[0]", "'x'", "10"),
]


@pytest.mark.parametrize("wrong", UNKNOWN_KEYS + TYPES + UNITS + NAMES + ADDRESSES, ids=str)
def test_one_mistake_is_one_problem_with_place_cause_and_fix(wrong: Wrong, tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, STORAGE + wrong.text)
    assert str(problem).startswith(f"{tmp_path}/proxy.yaml:{wrong.line}: {wrong.key}: {problem.cause}\n  fix: ")
    assert wrong.cause in problem.cause
    assert wrong.fix in problem.fix


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = "server: {lisen: x}\nstorage: {max_size: 5}\nupstreams: {foo: {}}\ngroups: {a: {}, a: {}}\ntokens: 5\n"
    problems = refused(tmp_path, text, {"RUNNER_BRIDGE_MIRROR__GROUP": "b"})
    assert [(problem.origin.line, problem.key) for problem in problems] == [
        (1, "server.lisen"),
        (2, "storage.directory"),
        (2, "storage.max_size"),
        (3, "upstreams.foo"),
        (4, "groups.a"),
        (5, "tokens"),
        (None, "mirror.group"),
    ]


@pytest.mark.parametrize(
    ("content", "place", "cause"),
    [
        (b"a: [1\n", ":2", "can not be read as YAML"),
        (b"a: 1\nb: \xff\n", ":2", "not text in UTF-8"),
        (b"- a\n", ":1", "must be a mapping, and is a list"),
        (b"just words\n", ":1", "must be a mapping, and is text"),
        (b"#" * (1024 * 1024 + 1), "", "more than 1048576 bytes"),
    ],
)
def test_a_file_that_is_no_configuration(content: bytes, place: str, cause: str, tmp_path: Path) -> None:
    file = tmp_path / "proxy.yaml"
    file.write_bytes(content)
    with pytest.raises(InvalidSettings) as caught:
        examine(file, {})
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"{file}{place}: ")
    assert cause in problem.cause


def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, cause in (("absent", "is not there"), (".", "is a folder"), ("pipe", "is no regular file")):
        with pytest.raises(InvalidSettings, match=cause):
            examine(tmp_path / name, {})
