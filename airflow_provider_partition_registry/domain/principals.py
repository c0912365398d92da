"""Sources, providers, and the access tokens that speak for them (R10), as immutable values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from airflow_provider_partition_registry.domain.invalid_input import InvalidInputError
from airflow_provider_partition_registry.domain.names import check_name


@dataclass(frozen=True, slots=True)
class Source:
    """A place where data lives.

    :param uri: the real address of its data, such as ``s3://bucket/sales``, or None if nobody has told it.
    """

    name: str
    owner: str
    registered_at: datetime
    id: int
    uri: str | None = None


@dataclass(frozen=True, slots=True)
class Provider:
    """Who supplies data; ``source_names`` are the sources it holds grants on."""

    name: str
    registered_at: datetime
    id: int
    source_names: tuple[str, ...]


class PrincipalKind(StrEnum):
    """What an access token may speak for."""

    SOURCE = "source"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Principal:
    """The source or provider that an access token speaks for (R10).

    :raises InvalidInputError: the kind is neither of the two, or the name is not valid.
    """

    kind: PrincipalKind
    name: str

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "kind", PrincipalKind(self.kind))
        except ValueError:
            raise InvalidInputError(
                f"An access token speaks for a source or a provider, not for {self.kind!r}."
            ) from None
        check_name(f"{self.kind.value} name", self.name)

    def __str__(self) -> str:
        return f"{self.kind.value} {self.name!r}"


def check_principal(value: Principal) -> Principal:
    """Return ``value`` if it is a principal.

    :raises InvalidInputError: it is anything else.
    """
    if not isinstance(value, Principal):
        raise InvalidInputError(f"Expected a Principal, not {type(value).__name__}.")
    return value


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What is known about an access token: everything except its secret.

    :param id: names the token in lists and in the history; it gives no access.
    :param expires_at: when it stops being valid, or None.
    :param revoked_at: when somebody revoked it, or None.
    """

    id: str
    principal: Principal
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_valid_at(self, now: datetime) -> bool:
        """Whether it has neither been revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new access token. Only this answer carries its secret (R10)."""

    token: AccessToken
    access_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SourceRegistration:
    """A new source. Only this answer carries its access token (R10)."""

    source: Source
    access_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ProviderRegistration:
    """A registered provider. Only the first such answer carries its access token (R10).

    :param access_token: None if the provider existed already and was granted one more source.
    """

    provider: Provider
    access_token: str | None = field(default=None, repr=False)
