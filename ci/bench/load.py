"""The load client of `load.c`: compiled once a run, started for each measurement."""

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ci.bench.processes import BenchError

SOURCE = Path(__file__).with_name("load.c")

Method = Literal["GET", "HEAD", "ALTERNATE"]


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Of a time over all requests, in milliseconds."""

    p50: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of the client saw; the first byte is the first of the body, or the end of a bodiless answer."""

    requests: int
    bytes: int
    seconds: float
    requests_per_second: float
    bytes_per_second: float
    latency_ms: Quantiles
    first_byte_ms: Quantiles
    faults: tuple[str, ...]


def parse(text: str) -> Load:
    """Reads the client's JSON; everything that is not a whole, right answer of 200 becomes a fault."""
    raw = json.loads(text)
    faults = [f"{count} answers of {status}" for status, count in raw["statuses"].items() if status != "200"]
    faults += [
        f"{raw[key]} {key.replace('_', ' ')}" for key in ("short_bodies", "wrong_lengths", "malformed") if raw[key]
    ]
    if raw["timed_out"]:
        faults.append("not finished in time")
    return Load(
        requests=raw["requests"],
        bytes=raw["bytes"],
        seconds=raw["seconds"],
        requests_per_second=raw["requests_per_second"],
        bytes_per_second=raw["bytes_per_second"],
        latency_ms=Quantiles(**raw["latency_ms"]),
        first_byte_ms=Quantiles(**raw["first_byte_ms"]),
        faults=tuple(faults),
    )


@dataclass(frozen=True, slots=True)
class LoadClient:
    """The compiled program."""

    program: Path

    def command(
        self,
        port: int,
        targets: Sequence[tuple[str, int]],
        *,
        connections: int,
        requests: int | None = None,
        seconds: float | None = None,
        method: Method = "GET",
        headers: Sequence[str] = (),
        rate: int | None = None,
        timeout: float = 120.0,
    ) -> list[str]:
        """The command line; a target is a path and the length that its body must have."""
        command = [str(self.program), "--port", str(port), "--connections", str(connections), "--method", method]
        command += ["--requests", str(requests)] if requests else ["--seconds", str(seconds)]
        command += ["--timeout", str(timeout)]
        if rate:
            command += ["--rate", str(rate)]
        for header in headers:
            command += ["--header", header]
        return command + [f"{path}={length}" for path, length in targets]


@contextlib.contextmanager
def started(command: Sequence[str], *, patience: float = 180.0) -> Iterator[Callable[[], Load]]:
    """Starts the client; the callable waits for its result. It does not outlive the block.

    :raises BenchError: (the callable) it could not connect or did not end within `patience` seconds.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield lambda: _result(process, patience)
    finally:
        process.kill()
        process.communicate()


def _result(process: "subprocess.Popen[str]", patience: float) -> Load:
    try:
        output, complaint = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"the load client did not end within {patience:.0f} s") from error
    if process.returncode:
        raise BenchError(complaint.strip())
    return parse(output)


def run(command: Sequence[str]) -> Load:
    """Runs the client to its end; raises as `started` does."""
    with started(command) as result:
        return result()


def compile_client(folder: Path) -> LoadClient:
    """Compiles the client into `folder`.

    :raises BenchError: there is no C compiler, or it refused.
    """
    program = folder / "load"
    try:
        done = subprocess.run(
            ["cc", "-O2", "-o", str(program), str(SOURCE)], capture_output=True, text=True, timeout=60, check=False
        )
    except FileNotFoundError as error:
        raise BenchError("no C compiler: install gcc") from error
    if done.returncode:
        raise BenchError(f"{SOURCE.name} does not compile:\n{done.stderr}")
    return LoadClient(program)
