"""Commands for whoever runs a service: they work on the data directory and the database of the settings."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from interlayer.commands_local import JsonOption
from interlayer.commands_remote import KeyOption, ServerOption
from interlayer.errors import ANALYSIS_FAILED, ServiceUnreachable, UsageError

DataOption = Annotated[Path | None, typer.Option("--data", help="Data directory [INTERLAYER_DATA_DIR].")]
_SYMBOLS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (doctor, backup, restore, tenant):
        app.command()(command)


def doctor(
    data: DataOption = None, server: ServerOption = None, key: KeyOption = None, as_json: JsonOption = False
) -> None:
    """Check this machine, its installation, and a service. Fails if something does."""
    from interlayer.doctor import examine

    checks = examine(data, server, key)
    if as_json:
        sys.stdout.write(json.dumps([vars(check) for check in checks], indent=2) + "\n")
    else:
        for check in checks:
            sys.stdout.write(f"{_SYMBOLS[check.status]}  {check.name:<12}  {check.detail}\n")
    if any(check.status == "fail" for check in checks):
        raise typer.Exit(ANALYSIS_FAILED)


def backup(
    to: Annotated[Path, typer.Option(help="A new folder for the copy.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy database and files while the service works. On PostgreSQL: the files, after a pg_dump of your own."""
    from contract.backup import back_up
    from interlayer.doctor import settings_of

    with _foreseen():
        summary = back_up(settings_of(data), to)
    _print_summary(vars(summary), to, as_json)


def restore(
    source: Annotated[Path, typer.Argument(help="The folder that `backup` has made.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring a backup back into an empty data directory. Checks every file."""
    from contract.backup import restore as bring_back
    from interlayer.doctor import settings_of

    settings = settings_of(data)
    with _foreseen():
        summary = bring_back(source, settings)
    _print_summary(vars(summary), settings.data_dir, as_json)


def tenant(
    name: Annotated[str, typer.Argument(help="Name of the tenant: letters, digits, dashes.")], data: DataOption = None
) -> None:
    """Make and print a key with every scope for a tenant. For a new one, or one that has lost its keys."""
    from contract.database import Database
    from contract.keys import ALL_SCOPES, Keys
    from interlayer.doctor import settings_of

    if not name.replace("-", "").isalnum() or not name.isascii() or len(name) > 64:
        raise UsageError("a tenant's name has up to 64 letters, digits and dashes")
    database = Database(settings_of(data))
    try:
        with _foreseen():
            database.upgrade()
            sys.stdout.write(Keys(database).create(name, "made by the operator", ALL_SCOPES).key + "\n")
    finally:
        database.close()


@contextmanager
def _foreseen() -> Iterator[None]:
    """Say in a sentence what an operator can do about."""
    from sqlalchemy.exc import OperationalError

    from contract.backup import BackupError

    try:
        yield
    except BackupError as error:
        raise UsageError(str(error)) from error
    except OperationalError as error:
        reason = str(error.orig).strip().splitlines()[0]
        advice = "see that it runs, and what INTERLAYER_DATABASE_URL names"
        raise ServiceUnreachable(f"the database does not answer: {reason}; {advice}") from error


def _print_summary(summary: dict[str, int | bool], folder: Path, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(summary, indent=2) + "\n")
        return
    what = "database and files" if summary["with_database"] else "files, without the database"
    sys.stdout.write(
        f"{folder}: {what}; {summary['jobs']} jobs, {summary['artifacts']} artifacts, "
        f"{summary['reports']} stored reports, {summary['bytes']:,} bytes\n"
    )
