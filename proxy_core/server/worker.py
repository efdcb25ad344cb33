"""One worker process: the application in granian, until the supervisor wants it to stop or is gone.

Started as ``python -m proxy_core.server.worker``. Its orders come on standard input, which then stays open: its end
means that the supervisor died.
"""

import asyncio
import gc
import os
import signal
import sys
from typing import Final

import uvloop
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.server.embed import Server

from proxy_core.app import App, open_app
from proxy_core.errors import ProxyError
from proxy_core.server.orders import Orders, read_orders
from proxy_core.settings import Settings

_BACKLOG: Final = 4096
_MOST_CONNECTIONS: Final = 16_384
_HEADER_SECONDS: Final = 30  # for a request's headers, and for which a connection may idle
_BUFFER: Final = 256 * 1024  # bytes of a request's headers, and that wait for a slow client in the server itself
_TURN: Final = 0.0005  # seconds that a thread keeps the interpreter; of the usual 5 ms a first byte would be late


def main() -> int:
    """Run until told to stop. Returns the exit code."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the supervisor, which we come from, has blocked some
    sys.setswitchinterval(_TURN)
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as pipe:
        orders = read_orders(pipe)
    try:
        uvloop.run(_serve(orders))
    except ProxyError as error:
        sys.stderr.write(f"worker {orders.worker}: {error.cause}\n  {error.fix}\n")
        return 1
    return 0


async def _serve(orders: Orders) -> None:
    app = open_app(
        orders.settings,
        metrics_folder=orders.metrics_folder,
        readable_logs=orders.readable_logs,
        worker=orders.worker,
    )
    async with app as application:
        server = _server(application, orders.settings)
        gc.collect()
        gc.freeze()  # what is here by now stays: it need not be looked through again and again
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.remove_reader(sys.stdin.fileno())
            server.stop()  # type: ignore[no-untyped-call]
            # The supervisor does this too; but it may be the one who is gone.
            loop.call_later(orders.settings.server.stop_grace, os._exit, 1)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        loop.add_reader(sys.stdin.fileno(), stop)  # it ends when the supervisor dies
        await server.serve()


def _server(app: App, settings: Settings) -> Server:
    tls = settings.server.tls
    return Server(
        app,
        address=settings.server.host,
        port=settings.server.port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.auto if tls else HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=_HEADER_SECONDS * 1000, max_buffer_size=_BUFFER),
        websockets=False,
        backlog=_BACKLOG,
        backpressure=_MOST_CONNECTIONS,
        log_enabled=False,
        ssl_cert=tls.certificate_file if tls else None,
        ssl_key=tls.key_file if tls else None,
        ssl_protocol_min=SSLProtocols.tls12,
    )


if __name__ == "__main__":
    sys.exit(main())
