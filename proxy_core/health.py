"""``/-/liveness``, ``/-/readiness`` and ``/-/metrics``: what supervisors and Prometheus ask."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from proxy_core.errors import ProxyError

Check = Callable[[], Awaitable[None]]


def health_app(checks: Mapping[str, Check], page: Callable[[], Awaitable[bytes]]) -> Starlette:
    """The routes below ``/-/``.

    :param checks: by name what must be well for this process to take requests; each raises ProxyError when it is not.
    :param page: the metrics, in Prometheus' text format.
    """

    async def liveness(_: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def readiness(_: Request) -> Response:
        wrong = {}
        for name, check in checks.items():
            try:
                await check()
            except ProxyError as error:
                wrong[name] = {"cause": error.cause, "next": error.fix}
        document = {"ready": not wrong, "not_ready": wrong}
        return JSONResponse(document, 200) if not wrong else _error(503, "UNAVAILABLE", "Not ready.", wrong)

    async def metrics(_: Request) -> Response:
        return Response(await page(), media_type="text/plain; version=1.0.0; charset=utf-8")

    routes = [
        Route("/-/liveness", liveness),
        Route("/-/readiness", readiness),
        Route("/-/metrics", metrics),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _refuse})


async def _refuse(request: Request, error: Exception) -> Response:
    """Paths and methods that are not there, in the words of a registry."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    if status == 405:
        return _error(405, "UNSUPPORTED", f"{request.method} is not supported here.", {"next": "Use GET."}, headers)
    detail = {"cause": "There is no such page.", "next": "The registry is at /v2/, its tokens are at /jwt/auth."}
    return _error(status, "NAME_UNKNOWN", "There is no such page.", detail, headers)


def _error(
    status: int, code: str, message: str, detail: object, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    return JSONResponse({"errors": [{"code": code, "message": message, "detail": detail}]}, status, headers)
