"""The command `interlayer`. Results go to stdout, everything else to stderr; exit codes are in `interlayer.errors`."""

import errno
import io
import sys

import typer
from pydantic import ValidationError

from interlayer import (
    commands_audit,
    commands_baseline,
    commands_extract,
    commands_local,
    commands_operations,
    commands_remote,
)
from interlayer.errors import ANALYSIS_FAILED, EXTRAS, INTERRUPTED, USAGE, InterlayerError

app = typer.Typer(
    name="interlayer",
    help="How every layer of a network changes class separation.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
commands_local.add_to(app)
commands_remote.add_to(app)
commands_baseline.add_to(app)
commands_audit.add_to(app)
commands_operations.add_to(app)
commands_extract.add_to(app)


def main() -> None:
    """Run the command and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show a sign gets a question mark instead
            stream.reconfigure(errors="replace")
    sys.exit(run())


def run(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code; every foreseen failure is one sentence on stderr."""
    try:
        code = app(arguments, standalone_mode=False)
    except InterlayerError as error:
        return _say(str(error), error.exit_code)
    except ValidationError as error:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ")
        return _say(": ".join(filter(None, (".".join(map(str, first["loc"])), said))), USAGE)
    except KeyboardInterrupt:
        return _say("interrupted", INTERRUPTED)
    except typer.Exit as error:
        return error.exit_code
    except typer.Abort:
        return _say("interrupted", INTERRUPTED)
    except OSError as error:
        return _say(_what_to_do(error), ANALYSIS_FAILED)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        return _say(f'this needs {error.name}: pip install "interlayer[{extra}]"', USAGE)
    except Exception as error:
        show = getattr(error, "show", None)  # a usage error of the command line library
        if show is None:
            raise
        show()
        return USAGE
    return code if isinstance(code, int) else 0  # what `typer.Exit` was raised with


def _what_to_do(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    advice = "free some, or write elsewhere" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "name another place"
    return f"{where}{error.strerror or error}; {advice}"


def _say(message: str, code: int) -> int:
    print(f"interlayer: {message}", file=sys.stderr)  # noqa: T201 - this is a command
    return code


if __name__ == "__main__":
    main()
