"""What every long-lived process needs: to end when asked, and when its parent has gone.

`python -m contract.process --end-with-parent COMMAND …` gives that to a foreign program.
"""

import os
import signal
import subprocess
import sys
import threading


def stop_on_signals() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def end_with_parent() -> None:
    """End this process as if by SIGTERM when stdin, a pipe from the parent, closes.

    A pipe closes however the parent dies. Only asked for by the flag `--end-with-parent`.
    """
    if "--end-with-parent" in sys.argv:
        sys.argv.remove("--end-with-parent")
        threading.Thread(target=_wait_for_end_of_file, daemon=True).start()


def _wait_for_end_of_file() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> int:
    """Run a foreign program until it ends, or SIGTERM, or the parent's end."""
    end_with_parent()
    process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)  # noqa: S603 - named by our own stack
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: process.terminate())
    return process.wait()


if __name__ == "__main__":
    sys.exit(main())
