"""The error tree matches its picture, every error has a code, and messages are readable."""

from __future__ import annotations

import inspect
import pickle
import re
import shlex
from collections.abc import Iterator

import pytest

from airflow_provider_partition_registry.domain import errors
from airflow_provider_partition_registry.domain.errors import RegistryError
from airflow_provider_partition_registry.domain.models import PartitionKey
from tests.unit.values import hours, partition

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, RegistryError)]


def examples() -> list[RegistryError]:
    """One error of each class. They are made anew, since a run with mutants sees only what tests make themselves."""
    return [
        errors.InvalidInputError("bad"),
        errors.InvalidIntervalError("bad"),
        errors.InvalidNameError("bad"),
        errors.UnknownSourceError("s"),
        errors.UnknownProviderError("p"),
        errors.UnknownPartitionError(PartitionKey("s", "p", hours(0, 1))),
        errors.UnknownTokenError("0123456789abcdef"),
        errors.GonePositionError("gone"),
        errors.LostPositionError(7, "2026-11-01T06:30:00Z", 5),
        errors.PrunedPositionError(7, 90, "2026-11-01T06:30:00Z"),
        errors.SourceAlreadyRegisteredError("s"),
        errors.ProviderAlreadyRegisteredError("p", "s"),
        errors.PartitionAlreadyRegisteredError(PartitionKey("s", "p", hours(0, 1))),
        errors.PartitionStateError("no", partition("ready")),
        errors.PartitionLockedError("no", partition("locked")),
        errors.NotLockHolderError("no", partition("locked")),
        errors.TokenRequiredError("who are you?"),
        errors.InvalidTokenError(),
        errors.AdministratorTokenError(),
        errors.ConsentRequiredError("p", "s"),
        errors.NoGrantError("p", "s"),
        errors.TokenRequiredError("who are you?"),
        errors.SchemaMissingError("sqlite:///x"),
        errors.RegistryFileMissingError("/x"),
        errors.SchemaOutdatedError("sqlite:///x", "0001", "0002"),
        errors.SchemaNewerError("sqlite:///x", "0003", "0002"),
        errors.SchemaBlockedError("sqlite:///x", "0002", 21, ["partition_registry_event 1: event_type"]),
        errors.SchemaDamagedError("sqlite:///x", ["partition_registry_event"], is_repairable=False),
        errors.StoreRefusedError("read-only"),
        errors.HostNotFoundError("https://registry.example.com", "registry.example.com"),
        errors.StoreUnavailableError("down"),
        errors.TooManyAttemptsError(60),
    ]


EXAMPLES = examples()


def drawn_tree() -> dict[str, str | None]:
    """Class names with the names of their parents, as the module's docstring draws them."""
    drawn: dict[str, str | None] = {}
    branch: list[str] = []
    for line in errors.__doc__.splitlines():
        if found := re.match(r" {4}((?:[│ ] {3})*(?:[├└]── )?)(\w+Error)\b", line):
            depth = len(found[1]) // 4
            branch[depth:] = [found[2]]
            drawn[found[2]] = branch[depth - 1] if depth else None
    return drawn


def walk(kind: type[RegistryError]) -> Iterator[type[RegistryError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from walk(child)


def test_the_drawn_tree_is_the_real_one() -> None:
    real = {
        kind.__name__: next(
            (base.__name__ for base in kind.__bases__ if issubclass(base, RegistryError)), None
        )
        for kind in walk(RegistryError)
        if "code" in vars(kind)
    }
    assert drawn_tree() == real


@pytest.mark.parametrize("name", [name for name in drawn_tree() if "Input" in name or name == "UnknownError"])
def test_the_drawn_standard_bases_are_real(name: str) -> None:
    (standard,) = re.findall(rf"{name} \((\w+)\)", errors.__doc__)
    assert standard in {base.__name__ for base in getattr(errors, name).__bases__}


def test_every_class_has_a_code_of_its_own() -> None:
    own = [kind.__dict__.get("code") for kind in ALL]
    assert all(own)
    assert len(set(own)) == len(ALL)
    assert all(re.fullmatch(r"[a-z_]+", code) for code in own)


def test_every_concrete_error_has_an_example_here() -> None:
    parents = {base for kind in ALL for base in kind.__bases__}
    assert {kind for kind in ALL if kind not in parents} <= {type(each) for each in EXAMPLES}


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: error.code)
def test_errors_print_their_message(error: RegistryError) -> None:
    assert str(error) == error.message
    assert error.message


def test_errors_carry_and_name_what_they_are_about() -> None:
    for error in examples():
        about = {name: value for name, value in vars(error).items() if name != "message"}
        assert None not in about.values()
        assert all(shlex.quote(each) in error.message for each in about.values() if isinstance(each, str))


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: error.code)
def test_errors_cross_process_boundaries(error: RegistryError) -> None:
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert back.__dict__ == error.__dict__


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: error.code)
def test_errors_go_on_with_what_the_caller_knows(error: RegistryError) -> None:
    longer = error.continued("It is the night job's.")
    assert type(longer) is type(error)
    assert str(longer) == longer.message == f"{error.message} It is the night job's."
    assert longer.__dict__ == {**error.__dict__, "message": longer.message}
    assert str(error) == error.message


def test_only_one_error_is_worth_retrying() -> None:
    assert not issubclass(errors.StoreUnavailableError, tuple({errors.InvalidInputError, errors.SchemaError}))
    assert issubclass(errors.InvalidInputError, ValueError)
    assert issubclass(errors.UnknownError, LookupError)
