"""The tree of errors: statuses and codes are the specification's, and the drawing in the module is true."""

import re

import pytest

from proxy_core import errors
from proxy_core.errors import ConfigurationError, ManifestUnknown, ProxyError, RegistryError, StorageError, Unavailable

#: OCI distribution specification, section "Error Codes".
SPECIFIED = {
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "UNAUTHORIZED",
    "DENIED",
    "UNSUPPORTED",
    "TOOMANYREQUESTS",
}
TOLD = RegistryError.__subclasses__()


@pytest.mark.parametrize("kind", TOLD, ids=lambda kind: kind.__name__)
def test_what_clients_are_told_has_a_code_of_the_specification(kind: type[RegistryError]) -> None:
    assert 400 <= kind.status < 600
    if kind.status < 500:
        assert kind.code in SPECIFIED
    else:
        assert kind.code in {"UNAVAILABLE", "UNKNOWN"}


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = dict(re.findall(r"[├└]── (\w+) +(\d{3} \w+)", errors.__doc__ or ""))
    assert drawn == {kind.__name__: f"{kind.status} {kind.code}" for kind in TOLD}
    assert {kind.__name__ for kind in ProxyError.__subclasses__()} >= {"ConfigurationError", "StorageError"}


def test_an_error_reads_as_its_cause_and_what_to_do() -> None:
    assert str(StorageError("The disk is full.", "Make room.")) == "The disk is full. Make room."
    assert str(ConfigurationError("No such key.")) == "No such key."


def test_headers_and_status_belong_to_one_error_not_to_its_class() -> None:
    one = Unavailable("Away.", headers={"Retry-After": "5"}, status=504)
    assert (one.status, one.headers) == (504, {"Retry-After": "5"})
    assert (Unavailable("Away.").status, Unavailable("Away.").headers) == (503, {})
    assert ManifestUnknown("None.").headers is not ManifestUnknown("None.").headers
