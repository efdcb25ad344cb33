"""A proxy such as the examples have in mind: with TLS, two upstreams, and open doors for mirrors."""

import shutil
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from tests.rig.proxy import GROUP, Proxy
from tests.rig.upstream import Upstream


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Short, because sockets of daemons in it have names of at most 108 bytes."""
    path = Path(tempfile.mkdtemp(prefix="rig-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def upstreams() -> Iterator[Mapping[str, Upstream]]:
    """By the names under which the proxy knows them."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(Upstream()) for name in ("docker.io", "quay.io")}


@pytest.fixture(scope="session")
def authority(folder: Path) -> Path:
    """The certificate of the authority that signed the proxy's own."""
    made = trustme.CA()
    made.cert_pem.write_to_path(folder / "ca.pem")
    certificate = made.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "tls.pem")
    return folder / "ca.pem"


@pytest.fixture(scope="session")
def proxy(folder: Path, upstreams: Mapping[str, Upstream], authority: Path) -> Iterator[Proxy]:
    certificate = str(folder / "tls.pem")
    settings = {
        "server": {"tls": {"certificate_file": certificate, "key_file": certificate}},
        "upstreams": {name: {"url": upstream.url} for name, upstream in upstreams.items()},
        "mirror": {"group": GROUP},
    }
    with Proxy(folder / "proxy", settings, trust=ssl.create_default_context(cafile=authority)) as running:
        yield running
