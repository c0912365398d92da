"""How old an answer may be: a client says so in the way of HTTP, by ``Cache-Control: max-age`` (RFC 9111, 5.2.1.1)."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Request

from airflow_provider_partition_registry.domain.questions import GREATEST_AGE
from airflow_provider_partition_registry.server.service import InService, Service
from airflow_provider_partition_registry.store.contract import RegistryReader


def reader_for(request: Request, service: Service) -> RegistryReader:
    """The registry as a request may read it."""
    return service.store.with_max_age(max_age_of(",".join(request.headers.getlist("Cache-Control"))))


def max_age_of(directives: str) -> int:
    """How many seconds old an answer may be. What is not understood accepts none."""
    ages = [0]
    for directive in directives.lower().split(","):
        name, _, value = map(str.strip, directive.partition("="))
        if name in ("no-cache", "no-store"):
            return 0
        if name == "max-age":
            ages.append(min(int(value), GREATEST_AGE) if value.isascii() and value.isdigit() else 0)
    return min(ages[1:], default=0)


async def _reader(
    request: Request,
    service: InService,
    _cache_control: Annotated[
        str | None,
        Header(
            alias="Cache-Control",
            description="``max-age=5``: the answer may lack what was acknowledged in the last 5 seconds (at most "
            f"{GREATEST_AGE}), so that a standby can give it. Without it, nothing is missing.",
        ),
    ] = None,
) -> RegistryReader:
    return reader_for(request, service)


Reader = Annotated[RegistryReader, Depends(_reader)]
"""The registry, read as of a moment that the client accepts."""
