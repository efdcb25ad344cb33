"""The token endpoint, by Docker's token authentication specification and by what clients make of its answers."""

from tests.conformance.conftest import REPOSITORY, manifest
from tests.rig.proxy import Client, scope_of

SCOPE = scope_of(REPOSITORY)


def test_the_answer(client: Client) -> None:
    """`expires_in` is a whole number: Go's clients refuse the answer otherwise."""
    answer = client.login(SCOPE)
    assert answer.status_code == 200
    body = answer.json()
    assert body["token"]
    assert isinstance(body["expires_in"], int)
    assert body["expires_in"] >= 60


def test_no_refresh_token(client: Client) -> None:
    """`docker login` would keep it in place of the password, and then only POST."""
    assert "refresh_token" not in client.login(SCOPE).json()


def test_it_pulls(client: Client) -> None:
    assert client.get(manifest("latest"), token=client.token(SCOPE)).status_code == 200


def test_scopes_in_one_parameter_or_in_several(client: Client) -> None:
    for scopes in ((SCOPE, scope_of("other/repo")), (f"{SCOPE} {scope_of('other/repo')}",)):
        assert client.get(manifest("latest"), token=client.token(*scopes)).status_code == 200


def test_a_scope_that_is_not_known_is_left_out(client: Client) -> None:
    """containerd's mirrors ask for the image's plain name beside the challenge's scope."""
    assert client.get(manifest("latest"), token=client.token(SCOPE, "registry:catalog:*")).status_code == 200


def test_post_is_refused(client: Client) -> None:
    """containerd tries POST first, and goes on with GET after 405."""
    answer = client.http.post("/jwt/auth", data={"service": "dependency_proxy", "grant_type": "password"})
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


def test_a_wrong_password(client: Client) -> None:
    answer = client.login(SCOPE, password="not-the-one")
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["code"] == "UNAUTHORIZED"
    assert "not-the-one" not in answer.text


def test_an_unknown_service(client: Client) -> None:
    answer = client.http.get("/jwt/auth", params={"service": "container_registry"})
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["code"] == "UNSUPPORTED"
