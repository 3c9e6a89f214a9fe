"""External programs that some tests drive: where they are, or why the test cannot run."""

import os
import shutil

import pytest

_PACKAGES = {"chromium": "chromium", "nginx": "nginx-light", "promtool": "prometheus"}


def require(program: str) -> str:
    """Return the path of a program; skip where it is missing, but fail in CI, which installs them all."""
    path = shutil.which(program)
    if path is not None:
        return path
    message = f"{program} is not installed; on Debian: apt-get install {_PACKAGES[program]}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
