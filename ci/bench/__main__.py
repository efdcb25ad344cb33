"""`python -m ci.bench`: measures runner-bridge beside its peers, prints and writes the figures."""

import argparse
import dataclasses
import json
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from ci.bench import machine, nginx
from ci.bench.bench import QUICK, Bench, Scale, prepared
from ci.bench.figures import FIGURES
from ci.bench.hand import hold
from ci.bench.peers import DockerRegistry, Drayage, Nginx
from ci.bench.processes import BenchError
from ci.bench.proxy import RunnerBridge
from ci.bench.report import Report, document, markdown
from ci.bench.results import OURS, Figure
from ci.bench.servers import Server

HOME = Path(__file__).parent
WORK = HOME / ".work"


def main() -> int:
    """0: measured, and every byte of ours was right, whether or not goals are met; 1: ours gave something wrong."""
    options = _options()
    signal.signal(signal.SIGTERM, _leave)
    WORK.mkdir(exist_ok=True)
    servers, skipped = _servers(options)
    scale = _scale(options)
    machine.touch_memory()
    with (
        tempfile.TemporaryDirectory(prefix="run-", dir=options.work or WORK) as folder,
        prepared(Path(folder), servers, scale) as bench,
    ):
        if options.hand is not None:
            hold(bench, options.hand)
            return 0
        figures = [_measure(bench, name) for name in options.only]
    report = Report(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        machine=machine.describe(),
        versions={server.name: server.version() for server in servers},
        settings={**dataclasses.asdict(scale), "workers": options.workers},
        skipped=skipped,
        figures=figures,
    )
    _write(report, HOME if _is_whole(options) else WORK)
    return 1 if any(sample.faults for f in figures for sample in f.samples.get(OURS, ())) else 0


def _servers(options: argparse.Namespace) -> tuple[list[Server], dict[str, str]]:
    """Those that can run here, and why the others cannot."""
    if not nginx.find():
        raise BenchError("nginx is the upstream of all: install it (Debian: nginx-light)")
    known: list[Server] = [Nginx(), DockerRegistry(), Drayage(WORK / "drayage")]
    if not options.peer_only:
        known.append(RunnerBridge(options.workers))
    reasons = {server.name: server.missing() for server in known}
    skipped = {name: reason for name, reason in reasons.items() if reason}
    for name, reason in skipped.items():
        print(f"bench: without {name}: {reason}", file=sys.stderr)
    return [server for server in known if server.name not in skipped], skipped


def _scale(options: argparse.Namespace) -> Scale:
    scale = QUICK if options.quick else Scale()
    if options.rounds:
        return dataclasses.replace(scale, rounds=options.rounds, crowd_rounds=options.rounds)
    return scale


def _measure(bench: Bench, name: str) -> Figure:
    start = time.monotonic()
    print(f"bench: {name} ...", end="", file=sys.stderr, flush=True)
    figure = FIGURES[name](bench)
    print(f" {time.monotonic() - start:.0f} s", file=sys.stderr)
    return figure


def _is_whole(options: argparse.Namespace) -> bool:
    return not (options.quick or options.peer_only or options.workers != 2 or len(options.only) < len(FIGURES))


def _write(report: Report, folder: Path) -> None:
    text = markdown(report)
    (folder / "results.md").write_text(text)
    (folder / "results.json").write_text(json.dumps(document(report), indent=1) + "\n")
    print(text)
    print(f"bench: written to {folder}/results.md and results.json", file=sys.stderr)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """SIGTERM ends the run through its `finally` blocks, which stop all processes."""
    sys.exit(143)


def _figure_names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in FIGURES]:
        raise argparse.ArgumentTypeError(f"no figure {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    return names


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ci.bench", description=__doc__)
    add = parser.add_argument
    add("--only", type=_figure_names, default=list(FIGURES), metavar="FIGURE,...", help=", ".join(FIGURES))
    add("--rounds", type=int, help="of every figure (default 5, and 3 for crowds)")
    add("--quick", action="store_true", help="smaller and shorter: to work on the benchmark itself")
    add("--peer-only", action="store_true", help="without runner-bridge")
    add("--workers", type=int, default=2, help="worker processes of runner-bridge (default 2)")
    add("--work", type=Path, help="folder for caches and images (default: .work beside this file)")
    add("--hand", nargs="*", metavar="SERVER", help="only run the upstream and these servers, and print load commands")
    options = parser.parse_args()
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds: at least 1")
    return options


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
