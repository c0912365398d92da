"""The exit codes in one table, and one way to report an error."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import click

from airflow_provider_partition_registry.cli.output import (
    as_json_text,
    echo_error,
    printable,
    printable_lines,
)
from airflow_provider_partition_registry.domain.errors import (
    AccessDeniedError,
    AlreadyRegisteredError,
    GonePositionError,
    InvalidInputError,
    PartitionStateError,
    RegistryError,
    SchemaError,
    StoreRefusedError,
    StoreUnavailableError,
    UnknownError,
)
from airflow_provider_partition_registry.domain.jsonable import to_jsonable


class ExitCode(IntEnum):
    """The exit codes. Stable: scripts rely on them."""

    DONE = 0
    NO = 1
    BAD_INPUT = 2
    TIMED_OUT = 3
    UNKNOWN = 4
    CONFLICT = 5
    ACCESS_DENIED = 6
    UNAVAILABLE = 7
    BUG = 70
    INTERRUPTED = 130
    BROKEN_PIPE = 141


EXIT_CODES = {
    ExitCode.DONE: "done; ready",
    ExitCode.NO: "not ready; verify found something wrong",
    ExitCode.BAD_INPUT: "usage error or invalid input",
    ExitCode.TIMED_OUT: "timed out",
    ExitCode.UNKNOWN: "unknown source, provider, partition or token; a position that the history no longer holds",
    ExitCode.CONFLICT: "locked by another holder, not your lock, wrong state, or already registered",
    ExitCode.ACCESS_DENIED: "access token missing or invalid, or no grant on the source",
    ExitCode.UNAVAILABLE: "registry unavailable or refusing, or its schema does not fit this version",
    ExitCode.BUG: "a bug in this program",
    ExitCode.INTERRUPTED: "interrupted",
}
"""The meaning of each exit code, for ``--help``."""

_OF_ERRORS: tuple[tuple[type[RegistryError], ExitCode], ...] = (
    (InvalidInputError, ExitCode.BAD_INPUT),
    (UnknownError, ExitCode.UNKNOWN),
    (GonePositionError, ExitCode.UNKNOWN),
    (AlreadyRegisteredError, ExitCode.CONFLICT),
    (PartitionStateError, ExitCode.CONFLICT),
    (AccessDeniedError, ExitCode.ACCESS_DENIED),
    (SchemaError, ExitCode.UNAVAILABLE),
    (StoreRefusedError, ExitCode.UNAVAILABLE),
    (StoreUnavailableError, ExitCode.UNAVAILABLE),
)


def exit_code_of(error: Exception) -> ExitCode:
    """The exit code for an error; an unforeseen error must not look like an answer."""
    if isinstance(error, click.ClickException):
        return ExitCode.BAD_INPUT
    for kind, code in _OF_ERRORS:
        if isinstance(error, kind):
            return code
    return ExitCode.BUG


def report(error: Exception, *, as_json: bool) -> ExitCode:
    """Write to standard error what went wrong, as a sentence or as one JSON object, and return the exit code."""
    code = exit_code_of(error)
    told = _describe(error)
    if as_json:
        echo_error(as_json_text(told))
        return code
    if code is ExitCode.BUG:
        echo_error(printable_lines("".join(traceback.format_exception(error)).rstrip()))
    echo_error(f"Error: {printable(told['message'])}")
    return code


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether the call asked for JSON, even if it cannot be parsed. What follows ``--`` belongs to another command."""
    ours = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in ours


def _describe(error: Exception) -> dict[str, Any]:
    if isinstance(error, RegistryError):
        told: dict[str, Any] = {"code": error.code, "message": error.message}
        if isinstance(error, PartitionStateError):
            told["partition"] = to_jsonable(error.partition)
        return told
    if isinstance(error, click.ClickException):
        return {"code": InvalidInputError.code, "message": _usage(error)}
    message = f"{type(error).__name__}: {error}. This is a bug in partition-registry; please report it."
    return {"code": "bug", "message": message}


def _usage(error: click.ClickException) -> str:
    message = error.format_message()
    context = getattr(error, "ctx", None)
    if context is None:
        return message
    if isinstance(error, click.NoSuchOption):
        message = _as_argument(error.option_name, context) or message
    is_sentence = message.endswith((".", "?", "?)"))
    return f"{message}{'' if is_sentence else '.'} See: {context.command_path} --help"


def _as_argument(option: str, context: click.Context) -> str | None:
    """What to write instead of an option that only other commands have, where this command takes an argument."""
    wanted = option.lstrip("-").upper()
    command = context.command
    if not any(
        isinstance(each, click.Argument) and str(each.metavar).strip("[]") == wanted
        for each in command.params
    ):
        return None
    usage = " ".join((context.command_path, *command.collect_usage_pieces(context)))
    return f"No such option {option!r}: {wanted} is written without it. Write: {usage}."
