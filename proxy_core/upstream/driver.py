"""Runs the flows of :mod:`proxy_core.upstream.exchange`: in a thread, or in the event loop."""

import asyncio
from typing import Any

import httpx2

from proxy_core.upstream.exchange import Answer, Exchange, Flow, Joint, Result, Step
from proxy_core.upstream.failures import FAULTS, UpstreamFailure
from proxy_core.upstream.reading import Reader, adiscard, discard


class Driver:
    """Runs flows in the calling thread. May be used by many threads."""

    def __init__(self, exchange: Exchange, transport: httpx2.BaseTransport, reader: Reader) -> None:
        self._exchange = exchange
        self._transport = transport
        self._reader = reader

    def run(self, flow: Flow[Result]) -> Result:
        """:raises UpstreamFailure: any kind."""
        last: Answer | None = None
        result: Any = None
        try:
            while True:
                step = flow.send(result)
                if last is not None:
                    discard(last.response)
                    last = None
                if isinstance(step, Joint):
                    result = self.run(step.flow)
                else:
                    result = last = self._answer(step)
        except StopIteration as end:
            value: Result = end.value
            return value
        except BaseException:
            if last is not None:
                discard(last.response)
            raise
        finally:
            flow.close()

    def _answer(self, step: Step) -> Answer:
        try:
            response = self._transport.handle_request(step.request)
            try:
                content = self._content(step, response)
            except BaseException:
                response.close()
                raise
        except UpstreamFailure as failure:
            self._exchange.failed(step, failure)
            raise
        except FAULTS as error:
            fault = self._exchange.failure(error, step.request.url.host)
            self._exchange.failed(step, fault)
            raise fault from error
        self._exchange.answered(step, response)
        return Answer(response, content)

    def _content(self, step: Step, response: httpx2.Response) -> bytes:
        if step.whole is None or response.status_code != 200:
            return b""
        return self._reader.read(response, step.whole)

    def close(self) -> None:
        self._transport.close()


class AsyncDriver:
    """Runs flows in the event loop."""

    def __init__(self, exchange: Exchange, transport: httpx2.AsyncBaseTransport, reader: Reader) -> None:
        self._exchange = exchange
        self._transport = transport
        self._reader = reader
        self._joint: dict[str, asyncio.Task[Any]] = {}

    async def run(self, flow: Flow[Result]) -> Result:
        """:raises UpstreamFailure: any kind."""
        last: Answer | None = None
        result: Any = None
        try:
            while True:
                step = flow.send(result)
                if last is not None:
                    await adiscard(last.response)
                    last = None
                if isinstance(step, Joint):
                    result = await self._joined(step)
                else:
                    result = last = await self._answer(step)
        except StopIteration as end:
            value: Result = end.value
            return value
        except BaseException:
            if last is not None:
                await adiscard(last.response)
            raise
        finally:
            flow.close()

    async def _joined(self, joint: Joint) -> Any:
        """The result of a shared flow. It belongs to no asker: it goes on when the one who began it has left."""
        task = self._joint.get(joint.key)
        if task is None:
            task = asyncio.create_task(self.run(joint.flow))
            self._joint[joint.key] = task
            task.add_done_callback(lambda _: self._joint.pop(joint.key))
        return await asyncio.shield(task)

    async def _answer(self, step: Step) -> Answer:
        try:
            response = await self._transport.handle_async_request(step.request)
            try:
                content = await self._content(step, response)
            except BaseException:
                await response.aclose()
                raise
        except UpstreamFailure as failure:
            self._exchange.failed(step, failure)
            raise
        except FAULTS as error:
            fault = self._exchange.failure(error, step.request.url.host)
            self._exchange.failed(step, fault)
            raise fault from error
        self._exchange.answered(step, response)
        return Answer(response, content)

    async def _content(self, step: Step, response: httpx2.Response) -> bytes:
        if step.whole is None or response.status_code != 200:
            return b""
        return await self._reader.aread(response, step.whole)

    async def close(self) -> None:
        tasks = list(self._joint.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._transport.aclose()
