"""One question to an upstream with all that belongs to it: the token, its renewal, the redirects.

A *flow* is a generator in the style of httpx's auth flows: it yields requests and is sent their answers, and does no
I/O itself. So it is written once, and run in a thread or in the event loop (:mod:`proxy_core.upstream.driver`).
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

import httpx2

from proxy_core import __version__
from proxy_core.settings.model import Upstream
from proxy_core.upstream import bearer
from proxy_core.upstream.addresses import named_address
from proxy_core.upstream.bearer import Grant, Grants, basic, chosen, token_url
from proxy_core.upstream.challenge import Challenge, parse_challenges
from proxy_core.upstream.failures import FailureKind, UpstreamFailure, failure_of_error
from proxy_core.upstream.guard import Destination
from proxy_core.upstream.headers import QuotaReading, quota_reading
from proxy_core.upstream.refusals import failure_of_answer, failure_of_token_answer

#: Redirects in a row that are followed.
MAX_REDIRECTS: Final = 5

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_BASIC_LIFETIME: Final = 300.0  # seconds for which Basic is sent unasked, once an upstream has asked for it

Result = TypeVar("Result")


class Observer(Protocol):
    """Told of everything that is asked. Calls come from the event loop and from fill threads."""

    def request(self, upstream: str, kind: str, outcome: str) -> None:
        """One HTTP request has ended, or has its answer's headers.

        :param kind: ``manifest_head``, ``manifest``, ``blob``, ``blob_head``, ``tags``, ``referrers`` or ``token``.
        :param outcome: the class of the status (``2xx``), or a failure's reason.
        """

    def quota(self, upstream: str, account: str, reading: QuotaReading) -> None:
        """An answer told how much is left of an account's quota (``anonymous`` without a configured one)."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and how the answer's absence is told: ``subject`` as in "docker.io has no …"."""

    kind: str
    subject: str
    path: str
    url: httpx2.URL
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a flow. ``whole``: the body of a 200 is read at once, if it has no more bytes than that."""

    kind: str
    request: httpx2.Request
    whole: int | None = None


@dataclass(frozen=True, slots=True)
class Joint:
    """A flow that all who are in need of it at the same time share: the first one's is run, each gets its result."""

    key: str
    flow: "Flow[Any]"


@dataclass(frozen=True, slots=True)
class Answer:
    response: httpx2.Response
    content: bytes = field(default=b"", repr=False)


Flow = Generator[Step | Joint, Any, Result]


class Exchange:
    """How one upstream is asked: the flows, and what is remembered between them."""

    def __init__(self, settings: Upstream, grants: Grants, observer: Observer, wall: Callable[[], float]) -> None:
        self.name = settings.name
        self._settings = settings
        self._grants = grants
        self._observer = observer
        self._wall = wall
        self._home = httpx2.URL(settings.url).origin
        limits = settings.timeouts
        self._timeouts = {"connect": limits.connect, "read": limits.read, "write": limits.read, "pool": limits.read}

    def ask(self, question: Question) -> Flow[httpx2.Response]:
        """The flow of a question: first with what is remembered, anonymously if nothing is; a challenge is met once.

        The result's status is in the 2xx; its body is not read, and its caller closes it.

        :raises UpstreamFailure: any kind.
        """
        sent = self._grants.get(question.path)
        response = yield from self._follow(question, sent)
        if response.status_code == 401 and response.request.url.origin == self._home:
            granted = yield from self._granted(question.path, sent, response)
            if granted is not None:
                response = yield from self._follow(question, granted)
                if response.status_code == 401:
                    self._grants.forget(question.path, granted)
        if not response.is_success:
            raise self._refused(question, response)
        return response

    def _follow(self, question: Question, authorization: str | None) -> Flow[httpx2.Response]:
        """Ask, and go where redirects lead. What leaves an origin loses its authorization for good."""
        url = question.url
        for _ in range(MAX_REDIRECTS + 1):
            request = self._request(question.method, url, Destination.REDIRECT, authorization, question.headers)
            answer: Answer = yield Step(question.kind, request)
            if answer.response.status_code not in _REDIRECTS:
                return answer.response
            target = self._target(url, answer.response)
            if target.origin != url.origin:
                authorization = None
            url = target
        raise self._unusable("redirect_loop", f"redirects more than {MAX_REDIRECTS} times in a row")

    def _target(self, url: httpx2.URL, response: httpx2.Response) -> httpx2.URL:
        target = named_address(response.headers.get("Location", ""), url)
        if target is None:
            raise self._unusable("bad_redirect", "redirects without saying where to")
        if url.scheme == "https" and target.scheme == "http":
            raise self._unusable("open_redirect", f"redirects from https to http ({target.host})")
        return target

    def _granted(self, path: str, sent: str | None, refused: httpx2.Response) -> Flow[str | None]:
        """What to send instead of what was refused; ``None``: nothing that we have would help."""
        if sent is not None:
            self._grants.forget(path, sent)
        known = self._grants.get(path)
        if known is not None:
            return known  # somebody else was faster
        challenge = chosen(parse_challenges(refused.headers.get_list("WWW-Authenticate")))
        if challenge is None:
            return None
        if challenge.scheme == "bearer":
            authorization: str = yield Joint(path, self._ask_token(challenge, path))
            return authorization
        account = basic(self._settings)
        if account is None or account == sent:
            return None
        self._grants.put(path, Grant(account, _BASIC_LIFETIME))
        return account

    def _ask_token(self, challenge: Challenge, path: str) -> Flow[str]:
        url = token_url(challenge, path, self._settings)
        request = self._request("GET", url, Destination.REALM, basic(self._settings), {"Accept": "application/json"})
        answer: Answer = yield Step("token", request, whole=bearer.MAX_TOKEN_ANSWER)
        if answer.response.status_code != 200:
            raise failure_of_token_answer(answer.response, self._settings, self._wall())
        grant = bearer.read_token(answer.content, self.name)
        self._grants.put(path, grant)
        return grant.authorization

    def _request(
        self,
        method: str,
        url: httpx2.URL,
        elsewhere: Destination,
        authorization: str | None,
        headers: Mapping[str, str],
    ) -> httpx2.Request:
        sent = {"User-Agent": f"runner-bridge/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity", **headers}
        if authorization is not None:
            sent["Authorization"] = authorization
        destination = Destination.UPSTREAM if url.origin == self._home else elsewhere
        return httpx2.Request(
            method, url, headers=sent, extensions={"timeout": self._timeouts, "destination": destination}
        )

    # What the drivers report

    def answered(self, step: Step, response: httpx2.Response) -> None:
        self._observer.request(self.name, step.kind, f"{response.status_code // 100}xx")
        reading = quota_reading(response.headers)
        if reading is not None and step.kind != "token":
            self._observer.quota(self.name, self._settings.username or "anonymous", reading)

    def failed(self, step: Step, failure: UpstreamFailure) -> None:
        self._observer.request(self.name, step.kind, failure.reason)

    def failure(self, error: BaseException, host: str) -> UpstreamFailure:
        return failure_of_error(error, self.name, host)

    def _refused(self, question: Question, response: httpx2.Response) -> UpstreamFailure:
        at_home = response.request.url.origin == self._home
        return failure_of_answer(response, self._settings, question.subject, self._wall(), at_home=at_home)

    def _unusable(self, reason: str, what: str) -> UpstreamFailure:
        return UpstreamFailure(
            FailureKind.INVALID, reason, f"{self.name} {what}.", "Check the upstream's url; nothing else can be done."
        )
