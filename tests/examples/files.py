"""The example files, and what they take for granted."""

import re
from pathlib import Path

import trustme
import yaml

from tests.rig.proxy import Proxy

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

ADDRESS = "proxy.example.com:443"
"""Where the proxy is, to the examples."""


def leading_to(proxy: Proxy, example: str, folder: Path) -> Path:
    """A copy of an example in which only the proxy's address is another one."""
    text = (EXAMPLES / example).read_text()
    assert ADDRESS in text
    return write(folder / Path(example).name, text.replace(ADDRESS, proxy.host))


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def uncommented(text: str) -> str:
    """The settings that stand in comments, a line each, without the prose around them."""
    lines = (line.removeprefix("# ") for line in text.splitlines() if line.startswith("# "))
    return "\n".join(line for line in lines if re.match(r"\[.*\]$|\s*[a-z_]+ = ", line))


def with_secrets(example: str, folder: Path) -> Path:
    """A copy of a configuration, with every file beside it that it names."""
    file = write(folder / example, (EXAMPLES / example).read_text())
    document = yaml.safe_load(file.read_text())
    authority = trustme.CA()
    certificate = authority.issue_cert("proxy.example.com")
    tls = document["server"]["tls"]
    certificate.cert_chain_pems[0].write_to_path(folder / tls["certificate_file"])
    certificate.private_key_pem.write_to_path(folder / tls["key_file"])
    for upstream in document["upstreams"].values():
        if "password_file" in upstream:
            write(folder / upstream["password_file"], "a secret\n")
        if "ca_file" in upstream:
            authority.cert_pem.write_to_path(folder / upstream["ca_file"])
    return file
