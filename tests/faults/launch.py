"""Starts a process of the product for the fault suite: `python -m tests.faults.launch [OPTION…] MODULE [ARGUMENT…]`.

--without GUARD takes a guard away, --clock SECONDS sets the wall clock of this process wrong, --halt MOMENT has it kill
or stop itself. None of this exists in the product, nor is it imported there.
"""

import importlib
import sys
import time

from tests.faults import halts


def main() -> None:
    """Prepare this process and run the module's `main`."""
    arguments = sys.argv[1:]
    options: list[str] = []
    while arguments[0].startswith("--"):
        name, value = arguments[:2]
        del arguments[:2]
        if name == "--halt":
            halts.install(value)
            continue
        options += [name, value]
        if name == "--clock":
            _set_clock(float(value))
        else:
            from tests.faults.guards import GUARDS

            GUARDS[value].remove()
    module = arguments[0]
    if module == "worker.child":
        from tests.faults import computing

        computing.install()
        arguments = [argument for argument in arguments if argument != "--warm"]  # nothing is computed
    elif module.startswith("worker."):
        from worker import child_process

        assert "_COMPUTE" in vars(child_process), "else the jobs of this suite would compute what they like"
        vars(child_process)["_COMPUTE"] = (sys.executable, "-m", "tests.faults.launch", *options, "worker.child")
    sys.argv = arguments
    importlib.import_module(module).main()


def _set_clock(offset: float) -> None:
    seconds, nanoseconds = time.time, time.time_ns
    time.time = lambda: seconds() + offset
    time.time_ns = lambda: nanoseconds() + int(offset * 1e9)


if __name__ == "__main__":
    main()
