"""Run code that parses or runs somebody's model in a process that can harm nobody.

launcher.py     the parent's side: start, relay progress, say what a death means
__main__.py     the confined process: fence first, then the work
confinement.py  the fence: limits, namespaces, Landlock, seccomp
landlock.py     which files may be read and written
seccomp.py      which system calls are refused
"""

from worker.sandbox.launcher import Confined, run_confined

__all__ = ["Confined", "run_confined"]
