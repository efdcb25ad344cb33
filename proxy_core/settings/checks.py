"""What no schema can say: files that must be readable, and keys that must fit each other.

Each check looks at a resolved document. Keys that the schema already refused are not in it.
"""

import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from proxy_core.errors import ConfigurationError
from proxy_core.settings.files import MAX_CERTIFICATES, read_file, read_secret
from proxy_core.settings.formats import is_loopback, parse_listen, parse_network
from proxy_core.settings.problems import Finding, KeyPath

Tree = dict[str, Any]


def cross_check(tree: Tree) -> Iterator[Finding]:
    """Problems and warnings, in no order."""
    for check in (_tls, _external_url, _plain_http, _trusted_proxies, _storage, _upstreams, _mirror, _roles):
        yield from check(tree)


def is_served(path: str, groups: Tree) -> bool:
    """A group is served if it or an ancestor of it is listed."""
    parts = path.split("/")
    return any("/".join(parts[:end]) in groups for end in range(len(parts), 0, -1))


def _tls(tree: Tree) -> Iterator[Finding]:
    tls = tree["server"].get("tls", {})
    unreadable = [
        Finding(("server", "tls", key), error.cause, error.fix)
        for key in tls
        if (error := _unreadable(Path(tls[key]))) is not None
    ]
    yield from unreadable
    if unreadable or tls.keys() != {"certificate_file", "key_file"}:
        return
    asked = []

    def passphrase() -> str:
        asked.append(True)
        return ""

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls["certificate_file"], tls["key_file"], passphrase)
    except (ssl.SSLError, ValueError) as error:
        path: KeyPath = ("server", "tls", "key_file")
        if asked:
            yield Finding(path, "is encrypted.", "Store the key without a passphrase, readable only for this service.")
        elif getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            yield Finding(path, "does not belong to the certificate.", "Name the certificate's own key.")
        else:
            cause = "certificate and key can not be read as PEM."
            yield Finding(("server", "tls"), cause, "Name two files that begin with -----BEGIN.")


def _external_url(tree: Tree) -> Iterator[Finding]:
    path = ("server", "external_url")
    server = tree["server"]
    url = urlsplit(server["external_url"])
    host = url.hostname or ""
    listen = parse_listen(server["listen"])
    if "tls" in server and url.scheme == "http":
        fix = f"Write https://{url.netloc}."
        yield Finding(path, "begins with http://, but the server speaks TLS.", fix)
    if listen.everywhere and is_loopback(host):
        cause = "leads to this machine only, while the server listens on all addresses."
        fix = "Set it to what clients elsewhere call, e.g. https://proxy.example.com:443."
        yield Finding(path, cause, fix, warning=True)
    if "tls" not in server and url.scheme == "https" and not server["trusted_proxies"]:
        cause = "begins with https://, but the server speaks no TLS and trusts no proxy that does."
        fix = "List what ends TLS in server.trusted_proxies, or set server.tls."
        yield Finding(path, cause, fix, warning=True)


def _plain_http(tree: Tree) -> Iterator[Finding]:
    server = tree["server"]
    listen = parse_listen(server["listen"])
    if listen.address.is_loopback or "tls" in server or server["trusted_proxies"]:
        return
    path = ("server", "listen")
    if server["allow_plain_http"]:
        cause = "is open to the network without TLS: passwords and tokens can be read on the way."
        yield Finding(path, cause, "Set server.tls.", warning=True)
    else:
        cause = "is open to the network without TLS: credentials from elsewhere than loopback are refused."
        yield Finding(path, cause, "Set server.tls, or server.allow_plain_http if the network is yours.", warning=True)


def _trusted_proxies(tree: Tree) -> Iterator[Finding]:
    for index, text in enumerate(tree["server"]["trusted_proxies"]):
        if parse_network(text).prefixlen == 0:
            cause = "trusts everyone: any client can claim any address, and TLS."
            fix = "List only the addresses of your reverse proxies."
            yield Finding(("server", "trusted_proxies", index), cause, fix, warning=True)


def _storage(tree: Tree) -> Iterator[Finding]:
    if "directory" not in tree["storage"]:
        return
    path = ("storage", "directory")
    folder = Path(tree["storage"]["directory"])
    nearest = next(parent for parent in (folder, *folder.parents) if os.path.lexists(parent))
    if not nearest.is_dir():
        yield Finding(path, f"{nearest} is no folder.", "Name a folder; it is made when it is not there.")
    elif not os.access(nearest, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(path, f"{nearest} is not writable.", "Give the user that this runs as the right to write there.")


def _upstreams(tree: Tree) -> Iterator[Finding]:
    for name, upstream in tree["upstreams"].items():
        path = ("upstreams", name)
        if "password_file" in upstream:
            try:
                read_secret(Path(upstream["password_file"]))
            except ConfigurationError as error:
                yield Finding((*path, "password_file"), error.cause, error.fix)
        if "ca_file" in upstream:
            yield from _certificates((*path, "ca_file"), Path(upstream["ca_file"]))
        url = urlsplit(upstream["url"])
        if url.scheme == "http" and not is_loopback(url.hostname or ""):
            cause = "is asked over plain HTTP: answers, and the password if there is one, can be read on the way."
            yield Finding((*path, "url"), cause, "Use https://, with ca_file where the CA is your own.", warning=True)


def _certificates(path: KeyPath, file: Path) -> Iterator[Finding]:
    error = _unreadable(file)
    if error is not None:
        yield Finding(path, error.cause, error.fix)
        return
    try:
        found = ssl.create_default_context(cafile=str(file)).get_ca_certs()
    except ssl.SSLError:
        found = []
    if not found:
        cause = f"{file} holds no CA certificate in PEM."
        yield Finding(path, cause, "Name a file that begins with -----BEGIN CERTIFICATE.")


def _mirror(tree: Tree) -> Iterator[Finding]:
    group = tree.get("mirror", {}).get("group")
    if group is not None and not is_served(group, tree["groups"]):
        yield Finding(("mirror", "group"), f"{group} is not served.", "Add it, or a group above it, to groups.")


def _roles(tree: Tree) -> Iterator[Finding]:
    groups = tree["groups"]
    for name, user in tree["users"].items():
        for path in user["groups"]:
            # A role holds for all subgroups, so one above a group that is served means something too.
            if not is_served(path, groups) and not any(group.startswith(f"{path}/") for group in groups):
                cause = "is a role in a group that is not served."
                fix = f"Add {path}, or a group above it, to groups."
                yield Finding(("users", name, "groups", path), cause, fix, warning=True)


def _unreadable(file: Path) -> ConfigurationError | None:
    try:
        read_file(file, MAX_CERTIFICATES)
    except ConfigurationError as error:
        return error
    return None
