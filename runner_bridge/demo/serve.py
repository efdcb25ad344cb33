"""The proxy's process: `runner-bridge serve`, until it is told to stop or the demo is gone, however that ended.

Started as ``python -m runner_bridge.demo.serve CONFIG``. Standard input stays open while the demo lives.
"""

import os
import signal
import sys
import threading

from runner_bridge.cli import main


def _stop_with_the_demo() -> None:
    # SIGTERM is for the main thread, which waits for it; taken by this one, it would end the process at once.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_stop_with_the_demo, daemon=True).start()
    main(["serve", "--config", sys.argv[1]], prog_name="runner-bridge")
