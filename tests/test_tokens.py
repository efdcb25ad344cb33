"""Signed tokens: what is accepted, each reason for which one is not, and the life of the key file."""

import json
import os
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from proxy_core import tokens
from proxy_core.errors import StorageError
from proxy_core.tokens import Claims, Rejection

PRIVATE = Ed25519PrivateKey.generate()
KEY = OKPKey.import_key(PRIVATE)
RING = tokens.key_ring([KEY])
NOW = 1_790_000_000.0
ISSUER = "https://proxy.example.com:443"
CLAIMS: dict[str, object] = {"iss": ISSUER, "aud": "pulls", "iat": NOW, "nbf": NOW, "exp": NOW + 900, "sub": "dev"}


def verify(token: str, *, now: float = NOW, leeway: float = 0.0) -> Claims | Rejection:
    return tokens.verify(token, RING, issuer=ISSUER, audience="pulls", now=now, leeway=leeway)


def signed(**changes: object) -> str:
    return tokens.sign({name: value for name, value in (CLAIMS | changes).items() if value is not None}, KEY)


def segment(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def raw(header: object, payload: object = CLAIMS) -> str:
    """A token whose Ed25519 signature is right, whatever its header says."""
    content = f"{segment(header)}.{segment(payload)}"
    return f"{content}.{urlsafe_b64encode(PRIVATE.sign(content.encode())).rstrip(b'=').decode()}"


def test_what_was_signed_is_read_back() -> None:
    assert verify(tokens.sign(CLAIMS, KEY)) == CLAIMS


def test_the_header_names_algorithm_and_key() -> None:
    header = jws.extract_compact(tokens.sign(CLAIMS, KEY).encode()).headers()
    assert header == {"typ": "JWT", "alg": "Ed25519", "kid": KEY.thumbprint()}


def test_the_audience_may_be_one_of_several() -> None:
    assert isinstance(verify(signed(aud=["others", "pulls"])), dict)


def test_several_keys_make_a_rotation() -> None:
    older = OKPKey.generate_key("Ed25519")
    ring = tokens.key_ring([KEY, older])
    for key in (KEY, older):
        assert tokens.verify(tokens.sign(CLAIMS, key), ring, issuer=ISSUER, audience="pulls", now=NOW) == CLAIMS


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        pytest.param(signed(iss="https://other.example.com"), Rejection.ISSUER, id="foreign issuer"),
        pytest.param(signed(iss=None), Rejection.ISSUER, id="no issuer"),
        pytest.param(signed(iss=[ISSUER]), Rejection.ISSUER, id="issuer in a list"),
        pytest.param(signed(aud="runner-bridge"), Rejection.AUDIENCE, id="replayed at another audience"),
        pytest.param(signed(aud=["a", "b"]), Rejection.AUDIENCE, id="other audiences"),
        pytest.param(signed(aud=None), Rejection.AUDIENCE, id="no audience"),
        pytest.param(signed(aud={"pulls": 1}), Rejection.AUDIENCE, id="audience is an object"),
        pytest.param(signed(exp=NOW), Rejection.EXPIRED, id="expires now"),
        pytest.param(signed(exp=None), Rejection.MALFORMED, id="never expires"),
        pytest.param(signed(exp="soon"), Rejection.MALFORMED, id="expires: text"),
        pytest.param(signed(exp=True), Rejection.MALFORMED, id="expires: truth"),
        pytest.param(signed(exp=float("inf")), Rejection.MALFORMED, id="expires: infinity"),
        pytest.param(signed(exp=float("nan")), Rejection.MALFORMED, id="expires: not a number"),
        pytest.param(signed(exp=10**400), Rejection.MALFORMED, id="expires: beyond reason"),
        pytest.param(signed(nbf=NOW + 1), Rejection.NOT_YET, id="not yet valid"),
        pytest.param(signed(iat=NOW + 1), Rejection.NOT_YET, id="made in the future"),
        pytest.param(signed(iat="now"), Rejection.MALFORMED, id="made: text"),
        pytest.param(tokens.sign(CLAIMS, OKPKey.generate_key("Ed25519")), Rejection.KEY, id="unknown key"),
        pytest.param(raw({"alg": "Ed25519"}), Rejection.KEY, id="no key named"),
        pytest.param(raw({"alg": "EdDSA", "kid": KEY.thumbprint()}), Rejection.ALGORITHM, id="the old name"),
        pytest.param(raw({"kid": KEY.thumbprint()}), Rejection.ALGORITHM, id="no algorithm"),
        pytest.param(raw({"alg": "Ed25519", "kid": KEY.thumbprint(), "x": "y"}), Rejection.MALFORMED, id="odd header"),
        pytest.param(
            raw({"alg": "Ed25519", "kid": KEY.thumbprint(), "crit": 5}), Rejection.MALFORMED, id="crit: a number"
        ),
        pytest.param(
            raw({"alg": "Ed25519", "kid": KEY.thumbprint(), "crit": ["x"]}), Rejection.MALFORMED, id="crit: unknown"
        ),
        pytest.param(
            raw({"alg": "Ed25519", "kid": KEY.thumbprint(), "b64": False}), Rejection.MALFORMED, id="not base64"
        ),
        pytest.param(raw(["alg", "Ed25519"]), Rejection.MALFORMED, id="header: a list"),
        pytest.param(raw({"alg": "Ed25519", "kid": KEY.thumbprint()}, ["iss"]), Rejection.MALFORMED, id="no object"),
        pytest.param("", Rejection.MALFORMED, id="nothing"),
        pytest.param("a.b.c", Rejection.MALFORMED, id="three letters"),
        pytest.param("....", Rejection.MALFORMED, id="dots"),
        pytest.param("päss.wort.x", Rejection.MALFORMED, id="not ASCII"),
        pytest.param("x" * 1_000_000, Rejection.MALFORMED, id="a megabyte"),
    ],
)
def test_each_reason_to_refuse(token: str, reason: Rejection) -> None:
    assert verify(token) is reason


def test_no_signature_at_all_is_refused() -> None:
    for header in ({"alg": "none"}, {"alg": "none", "kid": KEY.thumbprint()}):
        assert verify(f"{segment(header)}.{segment(CLAIMS)}.") is Rejection.ALGORITHM
    header = {"alg": "Ed25519", "kid": KEY.thumbprint()}
    assert verify(f"{segment(header)}.{segment(CLAIMS)}.") is Rejection.SIGNATURE


def test_the_public_key_as_a_shared_secret_is_refused() -> None:
    """The oldest trick: sign with HS256, under what everybody knows."""
    for secret in (KEY.as_pem(), PRIVATE.public_key().public_bytes_raw()):
        header = {"alg": "HS256", "kid": KEY.thumbprint()}
        forged = jws.serialize_compact(header, json.dumps(CLAIMS), OctKey.import_key(secret.hex()), ["HS256"])
        assert verify(forged) is Rejection.ALGORITHM


def test_a_changed_claim_is_refused() -> None:
    header, _, signature = signed().split(".")
    assert verify(f"{header}.{segment(CLAIMS | {'sub': 'root'})}.{signature}") is Rejection.SIGNATURE


@given(st.data())
def test_no_token_with_a_changed_character_is_accepted(data: st.DataObject) -> None:
    token = signed()
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(min_codepoint=33, max_codepoint=126).filter(lambda c: c != token[at]))
    assert isinstance(verify(token[:at] + other + token[at + 1 :]), Rejection)


@given(st.text() | st.builds(".".join, st.lists(st.text("eyJAbcd-_=0", max_size=40), min_size=3, max_size=3)))
def test_any_text_is_refused_without_an_error(text: str) -> None:
    assert isinstance(verify(text), Rejection)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "jku", "x5c", "x"]),
        st.sampled_from(["Ed25519", "none", KEY.thumbprint()]) | json_values,
    )
)
def test_any_header_is_judged_without_an_error(header: dict[str, object]) -> None:
    verify(raw(header))


@given(st.dictionaries(st.sampled_from(["iss", "aud", "exp", "nbf", "iat"]), json_values))
def test_any_claims_are_judged_without_an_error(claims: dict[str, object]) -> None:
    assert isinstance(verify(raw({"alg": "Ed25519", "kid": KEY.thumbprint()}, claims)), Rejection)


def test_leeway_is_for_clocks_that_are_ahead_and_not_for_the_end() -> None:
    ahead = signed(iat=NOW + 60, nbf=NOW + 60)
    assert isinstance(verify(ahead, leeway=60), dict)
    assert verify(ahead, leeway=59) is Rejection.NOT_YET
    assert verify(signed(), now=NOW + 900, leeway=60) is Rejection.EXPIRED
    assert isinstance(verify(signed(), now=NOW + 899.9), dict)


# --- the key file


def test_the_key_is_made_once_and_kept(tmp_path: Path) -> None:
    first = tokens.load_or_create_signing_key(tmp_path)
    token = tokens.sign(CLAIMS, first)
    again = tokens.load_or_create_signing_key(tmp_path)
    assert tokens.verify(token, tokens.key_ring([again]), issuer=ISSUER, audience="pulls", now=NOW) == CLAIMS
    assert [path.name for path in tmp_path.iterdir()] == [tokens.SIGNING_KEY_FILE]
    assert (tmp_path / tokens.SIGNING_KEY_FILE).stat().st_mode & 0o777 == 0o600


def test_threads_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        keys = list(pool.map(lambda _: tokens.load_or_create_signing_key(tmp_path).thumbprint(), range(64)))
    assert len(set(keys)) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_processes_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from proxy_core.tokens import load_or_create_signing_key\n"
        "import joserfc.jwk\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "print(load_or_create_signing_key(pathlib.Path(sys.argv[1])).thumbprint())\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    workers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    answers = {worker.communicate(timeout=30)[0] for worker in workers}
    assert len(answers) == 1
    assert all(worker.returncode == 0 for worker in workers)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    tokens.load_or_create_signing_key(tmp_path)
    (tmp_path / tokens.SIGNING_KEY_FILE).chmod(mode)
    with pytest.raises(StorageError, match=rf"open to other users \(mode {mode:04o}\).*chmod 600"):
        tokens.load_or_create_signing_key(tmp_path)


def pem_of_other_kind(kind: str) -> bytes:
    match kind:
        case "a public key":
            return KEY.as_pem()
        case "RSA":
            return RSAKey.generate_key(2048).as_pem(private=True)
        case "another curve":
            return OKPKey.generate_key("Ed448").as_pem(private=True)
        case "for exchange":
            return OKPKey.generate_key("X25519").as_pem(private=True)
        case "EC":
            return ECKey.generate_key("P-256").as_pem(private=True)
        case "under a passphrase":
            return KEY.as_pem(private=True, password="secret")
        case "half a file":
            return KEY.as_pem(private=True)[:60]
    return b"" if kind == "empty" else b"-----BEGIN NOISE-----\n\0\xff"


KINDS = [
    "a public key",
    "RSA",
    "another curve",
    "for exchange",
    "EC",
    "under a passphrase",
    "half a file",
    "empty",
    "?",
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_another_kind_is_refused_and_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / tokens.SIGNING_KEY_FILE
    pem = pem_of_other_kind(kind)
    path.write_bytes(pem)
    path.chmod(0o600)
    with pytest.raises(StorageError, match="does not hold an Ed25519 private key"):
        tokens.load_or_create_signing_key(tmp_path)
    assert path.read_bytes() == pem


def test_no_key_is_made_where_there_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="can not be written: No such file or directory"):
        tokens.load_or_create_signing_key(tmp_path / "missing")


def test_a_folder_a_pipe_or_a_dangling_link_in_the_place_of_the_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / tokens.SIGNING_KEY_FILE
    path.mkdir()
    with pytest.raises(StorageError, match="can not be read: Is a directory"):
        tokens.load_or_create_signing_key(tmp_path)
    path.rmdir()
    os.mkfifo(path, 0o600)
    begun = time.monotonic()
    with pytest.raises(StorageError, match="is not a file"):
        tokens.load_or_create_signing_key(tmp_path)
    assert time.monotonic() - begun < 10
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError, match="can not be read: No such file"):
        tokens.load_or_create_signing_key(tmp_path)


def test_a_key_is_never_written_over_another(tmp_path: Path) -> None:
    path = tmp_path / "issuer.pem"
    tokens.create_private_key(path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        tokens.create_private_key(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_public_keys_are_read_and_private_ones_refused_in_their_place(tmp_path: Path) -> None:
    path = tmp_path / "issuer.pub"
    path.write_bytes(KEY.as_pem())
    assert tokens.read_public_key(path).thumbprint() == KEY.thumbprint()
    path.write_bytes(KEY.as_pem(private=True))
    with pytest.raises(StorageError, match="does not hold an Ed25519 public key"):
        tokens.read_public_key(path)


def test_the_module_alone_loads_no_cryptography() -> None:
    program = "import sys, proxy_core.tokens; print({'cryptography', 'joserfc'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "set()\n"
