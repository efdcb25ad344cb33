"""``/-/liveness``, ``/-/readiness`` and ``/-/metrics``: what supervisors and Prometheus ask."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from proxy_core.errors import ProxyError
from proxy_core.registry.replies import Receive, Send
from proxy_core.telemetry.recorder import Recorder

Check = Callable[[], Awaitable[None]]


class Health:
    """The application behind ``/-/``, and the one that answers where there is nothing; its requests are recorded."""

    def __init__(self, routes: Starlette, recorder: Recorder) -> None:
        self._routes = routes
        self._recorder = recorder

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        exchange = self._recorder.begin(scope, scope["client"][0])
        exchange.resource = "health"
        scope["state"] = {"request_id": exchange.request_id}

        async def recorded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
            elif exchange.method != "HEAD":
                exchange.sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._routes(scope, receive, recorded)
        finally:
            self._recorder.end(exchange)


def health_routes(checks: Mapping[str, Check], page: Callable[[], Awaitable[bytes]]) -> Starlette:
    """The routes below ``/-/``.

    :param checks: by name what must be well for this process to take requests; each raises ProxyError when it is not.
    :param page: the metrics, in Prometheus' text format.
    """

    async def liveness(_: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def readiness(request: Request) -> Response:
        wrong = {}
        for name, check in checks.items():
            try:
                await check()
            except ProxyError as error:
                wrong[name] = {"cause": error.cause, "next": error.fix}
        if wrong:
            return _error(request, 503, "UNAVAILABLE", "Not ready.", wrong)
        return JSONResponse({"ready": True})

    async def metrics(_: Request) -> Response:
        return Response(await page(), headers={"Content-Type": "text/plain; version=1.0.0; charset=utf-8"})

    routes = [
        Route("/-/liveness", liveness),
        Route("/-/readiness", readiness),
        Route("/-/metrics", metrics),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _refuse, Exception: _fault})


async def _refuse(request: Request, error: Exception) -> Response:
    """Paths and methods that are not there, in the words of a registry."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    if status == 405:
        detail = {"cause": f"{request.method} is not supported here.", "next": "Use GET."}
        return _error(request, 405, "UNSUPPORTED", detail["cause"], detail, headers)
    detail = {"cause": "There is no such page.", "next": "The registry is at /v2/, its tokens are at /jwt/auth."}
    return _error(request, status, "NAME_UNKNOWN", detail["cause"], detail, headers)


async def _fault(request: Request, error: Exception) -> Response:
    cause = "This proxy has a fault."
    return _error(request, 500, "UNKNOWN", cause, {"cause": cause, "next": "Tell the operator."})


def _error(
    request: Request,
    status: int,
    code: str,
    message: str,
    detail: Mapping[str, object],
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    detail = {**detail, "request_id": request.state.request_id}
    return JSONResponse({"errors": [{"code": code, "message": message, "detail": detail}]}, status, headers)
