"""Files that settings name, and settings that must fit each other."""

from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from tests.settings.written import HASH, STORAGE, loaded, refused

OPEN = "server: {listen: '0.0.0.0:8080', external_url: 'https://proxy.example.com'"


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, tls.crt and tls.key, and the key of another certificate."""
    folder = tmp_path_factory.mktemp("pems")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(folder / "tls.key")
    key = load_pem_private_key(certificate.private_key_pem.bytes(), password=None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase"))
    (folder / "locked.key").write_bytes(locked)
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(folder / "tls.crt", append=True)
    authority.issue_cert("other.test").private_key_pem.write_to_path(folder / "other.key")
    (folder / "text").write_text("hello\n")
    return folder


def tls(certificate: Path, key: Path) -> str:
    return f"{STORAGE}server: {{tls: {{certificate_file: {certificate}, key_file: {key}}}}}"


def test_tls_changes_the_external_url(pems: Path, tmp_path: Path) -> None:
    settings = loaded(tmp_path, tls(pems / "tls.crt", pems / "tls.key")).settings
    assert settings.server.tls is not None
    assert settings.server.tls.key_file == pems / "tls.key"
    assert settings.server.external_url == "https://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("certificate", "key", "name", "cause"),
    [
        ("tls.crt", "other.key", "server.tls.key_file", "does not belong to the certificate"),
        ("tls.crt", "locked.key", "server.tls.key_file", "is encrypted"),
        ("text", "tls.key", "server.tls", "can not be read as PEM"),
        ("tls.crt", "text", "server.tls", "can not be read as PEM"),
        ("absent", "tls.key", "server.tls.certificate_file", "absent is not there"),
        ("tls.crt", ".", "server.tls.key_file", "is a folder"),
    ],
)
def test_certificate_and_key_must_be_a_pair(
    certificate: str, key: str, name: str, cause: str, pems: Path, tmp_path: Path
) -> None:
    (problem,) = refused(tmp_path, tls(pems / certificate, pems / key))
    assert (problem.key, problem.origin.line) == (name, 2)
    assert cause in problem.cause


def test_tls_does_not_go_with_an_http_url(pems: Path, tmp_path: Path) -> None:
    text = tls(pems / "tls.crt", pems / "tls.key").replace("{tls:", "{external_url: 'http://h:1', tls:")
    (problem,) = refused(tmp_path, text)
    assert "the server speaks TLS" in problem.cause
    assert problem.fix == "Write https://h:1."


def test_the_pair_may_come_from_the_environment(pems: Path, tmp_path: Path) -> None:
    variables = {"CERTIFICATE_FILE": "tls.crt", "KEY_FILE": "tls.key"}
    environ = {f"RUNNER_BRIDGE_SERVER__TLS__{name}": str(pems / file) for name, file in variables.items()}
    assert loaded(tmp_path, STORAGE, environ).settings.server.external_url == "https://127.0.0.1:8080"


def test_half_a_pair_is_told_what_is_missing(pems: Path, tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, f"{STORAGE}server:\n  tls: {{certificate_file: {pems}/tls.crt}}")
    assert (problem.origin.line, problem.key, problem.cause) == (3, "server.tls.key_file", "is missing.")


@pytest.mark.parametrize("newline", ["", "\n", "\r\n"])
def test_a_password_is_read_without_its_newline(newline: str, tmp_path: Path) -> None:
    (tmp_path / "quay").write_bytes(b" s3cret " + newline.encode())
    settings = loaded(tmp_path, f"{STORAGE}upstreams: {{quay.io: {{username: robot, password_file: quay}}}}").settings
    assert settings.upstreams["quay.io"].password == " s3cret "


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (None, "is not there"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"a\nb\n", "more than one line"),
        (b"\xff", "not text"),
        (b"x" * 20_000, "more than 16384 bytes"),
    ],
)
def test_a_password_file_that_is_not_one(content: bytes | None, cause: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "quay").write_bytes(content)
    text = f"{STORAGE}upstreams:\n  quay.io:\n    username: robot\n    password_file: quay\n"
    (problem,) = refused(tmp_path, text)
    assert (problem.origin.line, problem.key) == (5, "upstreams.quay.io.password_file")
    assert cause in problem.cause


@pytest.mark.parametrize(
    ("half", "other"), [("username: x", "password_file"), ("password_file: proxy.yaml", "username")]
)
def test_a_user_name_and_a_password_file_come_together(half: str, other: str, tmp_path: Path) -> None:
    problems = refused(tmp_path, f"{STORAGE}upstreams: {{quay.io: {{{half}}}}}")
    missing = problems[-1]
    assert missing.key == f"upstreams.quay.io.{other}"
    assert "is missing beside" in missing.cause


def test_a_ca_file_must_hold_certificates(pems: Path, tmp_path: Path) -> None:
    text = f"{STORAGE}upstreams: {{quay.io: {{ca_file: {pems}/%s}}}}"
    assert loaded(tmp_path, text % "ca.pem").settings.upstreams["quay.io"].ca_file == pems / "ca.pem"
    for name, cause in (("absent", "is not there"), ("text", "no CA certificate"), ("tls.key", "no CA certificate")):
        (problem,) = refused(tmp_path, text % name)
        assert problem.key == "upstreams.quay.io.ca_file"
        assert cause in problem.cause


@pytest.mark.parametrize(
    ("directory", "cause"),
    [
        ("file", "file is no folder"),
        ("file/below", "file is no folder"),
        ("~/data", "begins with ~"),
        ("''", "is no path"),
        ('"a\\0b"', "is no path"),
    ],
)
def test_the_storage_folder_must_be_one_or_become_one(directory: str, cause: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (problem,) = refused(tmp_path, f"storage:\n  directory: {directory}\n")
    assert (problem.origin.line, problem.key) == (2, "storage.directory")
    assert cause in problem.cause


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("server: {listen: '0.0.0.0:80'}", "server.external_url", "leads to this machine only"),
        (OPEN + "}", "server.external_url", "speaks no TLS and trusts no proxy"),
        (OPEN + "}", "server.listen", "credentials from elsewhere than loopback are refused"),
        (OPEN + ", allow_plain_http: true}", "server.listen", "passwords and tokens can be read"),
        ("server: {trusted_proxies: ['::/0']}", "server.trusted_proxies[0]", "trusts everyone"),
        ("upstreams: {h.lan: {url: 'http://h.lan'}}", "upstreams.h.lan.url", "plain HTTP"),
        (f"users: {{u: {{password_hash: '{HASH}', groups: {{x: guest}}}}}}", "users.u.groups.x", "not served"),
    ],
)
def test_what_works_but_is_doubtful_is_a_warning(text: str, key: str, words: str, tmp_path: Path) -> None:
    warnings = {warning.key: warning for warning in loaded(tmp_path, STORAGE + text).warnings}
    assert words in warnings[key].cause
    assert warnings[key].origin.line == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        OPEN + ", trusted_proxies: [10.0.0.0/8]}",
        "server: {listen: '[::1]:80'}",
        "upstreams: {h.lan: {url: 'http://127.0.0.1:5000'}}",
        f"groups: {{a/b: {{}}}}\nusers: {{u: {{password_hash: '{HASH}', groups: {{a: owner, a/b/c: guest}}}}}}",
    ],
)
def test_what_is_sound_gives_no_warning(text: str, tmp_path: Path) -> None:
    assert loaded(tmp_path, STORAGE + text).warnings == ()
