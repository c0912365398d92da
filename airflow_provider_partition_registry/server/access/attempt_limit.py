"""Rate limit against guessing: an address that keeps sending wrong access tokens gets 429 for a while."""

from __future__ import annotations

import ipaddress
import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from airflow_provider_partition_registry.domain.errors import InvalidTokenError, TooManyAttemptsError
from airflow_provider_partition_registry.domain.tokens import is_of_own_form

log = logging.getLogger(__name__)

IPV6_SITE = 64  # bits of an IPv6 address that identify a site; its owner may choose the rest at will


class AttemptLimit:
    """Counts wrong access tokens by client address, in this process.

    Above the limit the administrator's token is not checked, since a person chose it and others might guess it. Tokens
    that the registry made cannot be guessed and are still looked up: a job with an old token must not shut out its
    neighbours behind the same address.

    :param wrong_per_minute: how many wrong tokens an address may send within a minute.
    """

    def __init__(self, wrong_per_minute: int) -> None:
        self._limit = RateLimitItemPerMinute(wrong_per_minute)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    @contextmanager
    def counting(self, *access_tokens: str, client: str) -> Iterator[None]:
        """Allow a call's tokens to be tried, and count it if one is wrong. Lacking a right does not make a token wrong.

        :param client: the client's address.
        :raises TooManyAttemptsError: too many wrong tokens came from there recently.
        """
        if not all(map(is_of_own_form, access_tokens)):
            self._admit(client)
        try:
            yield
        except InvalidTokenError:
            self._admit(client)
            self._count(client)
            raise

    def _admit(self, client: str) -> None:
        if not self._limiter.test(self._limit, _site(client)):
            free_at = self._limiter.get_window_stats(self._limit, _site(client)).reset_time
            raise TooManyAttemptsError(max(1, math.ceil(free_at - time.time())))

    def _count(self, client: str) -> None:
        self._limiter.hit(self._limit, _site(client))
        if not self._limiter.test(self._limit, _site(client)):
            log.warning("too many wrong access tokens from %s", client)


def _site(client: str) -> str:
    try:
        address = ipaddress.ip_address(client)
    except ValueError:  # what a proxy forwards may be any text
        return client
    if address.version == 4:
        return client
    return str(ipaddress.ip_network((int(address), IPV6_SITE), strict=False))
