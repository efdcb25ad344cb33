"""The demo itself: an image, an upstream, the proxy before it, and three pulls."""

import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from runner_bridge.demo.exchange import Exchange
from runner_bridge.demo.image import make_image
from runner_bridge.demo.proxy import Proxy, serving
from runner_bridge.demo.pull import ARCHITECTURE, pull
from runner_bridge.demo.upstream import TAG, Upstream

IMAGE = "hello"


@dataclass(frozen=True, slots=True)
class Act:
    """One pull, on both wires."""

    name: str
    title: str
    client: tuple[Exchange, ...]  # between client and proxy
    upstream: tuple[Exchange, ...]  # between proxy and upstream

    @property
    def client_bytes(self) -> int:
        return sum(one.size for one in self.client)

    @property
    def upstream_bytes(self) -> int:
        return sum(one.size for one in self.upstream)

    @property
    def upstream_gets(self) -> int:
        """How often the upstream gave a manifest or a blob."""
        return sum(one.is_content for one in self.upstream)

    @property
    def seconds(self) -> float:
        return self.client[-1].ended - self.client[0].started

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(one.warning for one in self.client if one.warning)


@dataclass(frozen=True, slots=True)
class Play:
    """All that happened."""

    pulled: str  # as `docker pull` would be told
    parts: tuple[str, ...]  # digests of what a pull must bring: index, manifest, configuration, layers
    layers: tuple[str, ...]  # of these, the layers
    acts: tuple[Act, ...]
    pulls_left: int  # of the upstream's quota
    seconds: float

    def act(self, name: str) -> Act:
        return next(act for act in self.acts if act.name == name)


def play() -> Play:
    """Do it all, and leave nothing behind, however it ends.

    :raises DemoFailed: the proxy does not start, or a pull does not go through.
    """
    began = time.perf_counter()
    image = make_image()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="runner-bridge-demo-")))
        upstream = stack.enter_context(Upstream(image))
        proxy = stack.enter_context(serving(folder, upstream.url))
        acts = _acts(upstream, proxy)
    return Play(
        pulled=f"{proxy.host}/{proxy.repository(IMAGE)}:{TAG}",
        parts=image.parts(ARCHITECTURE),
        layers=image.layers,
        acts=acts,
        pulls_left=upstream.pulls_left,
        seconds=time.perf_counter() - began,
    )


def _acts(upstream: Upstream, proxy: Proxy) -> tuple[Act, ...]:
    def act(name: str, title: str) -> Act:
        client = pull(proxy, IMAGE, TAG, reached=upstream.reached)
        proxy.settle()
        return Act(name, title, client, upstream.noted())

    cold = act("cold", "Cold pull: the proxy holds nothing")
    warm = act("warm", "Warm pull: the proxy asks whether the tag has moved, and no more")
    upstream.stop()
    stale = act("stale", "The upstream is stopped: the proxy serves what it has, with a warning")
    return cold, warm, stale
