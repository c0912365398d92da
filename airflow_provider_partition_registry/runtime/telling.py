"""Passing a text on to whoever tells people: another notifier, or a function."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from copy import copy
from functools import partial
from inspect import iscoroutinefunction
from pkgutil import resolve_name
from typing import Any

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.runtime.compat import BaseNotifier, ask_in_thread

Teller = Callable[[Any], object] | Mapping[str, Any]
"""A notifier, or a function that takes the context of the callback; or, where Airflow stores arguments as JSON, a
mapping with the ``path`` of such a class or function, and its ``kwargs``."""


def check_teller(teller: Teller) -> Teller:
    """Return ``teller`` if somebody can be told by it.

    :raises InvalidInputError: it is neither callable nor such a mapping.
    """
    is_named = isinstance(teller, Mapping) and "path" in teller and teller.keys() <= {"path", "kwargs"}
    if is_named or callable(teller):
        return teller
    raise InvalidInputError(
        f"Who is told is a notifier, a function that takes the context, or a mapping with the path and the kwargs of "
        f"either; not {teller!r}."
    )


def tell(teller: Teller, context: Any) -> None:
    """Tell somebody, with the context of a callback."""
    callback = _made(teller)
    if iscoroutinefunction(callback):
        asyncio.run(callback(context))
    else:
        callback(context)


async def tell_in_loop(teller: Teller, context: Any) -> None:
    """The same from an event loop, without blocking it."""
    callback = _made(teller)
    if _is_async_notifier(callback):
        callback.context = context
        await callback
    elif iscoroutinefunction(callback):
        await callback(context)
    else:
        await ask_in_thread(callback, context)


def _made(teller: Teller) -> Any:
    """Whoever is to be told, for one call: a notifier that was called has rendered its own fields for good."""
    if not isinstance(teller, Mapping):
        return copy(teller)
    found, arguments = resolve_name(teller["path"]), dict(teller.get("kwargs") or {})
    return found(**arguments) if isinstance(found, type) else partial(found, **arguments)


def _is_async_notifier(callback: Any) -> bool:
    own = getattr(type(callback), "async_notify", None)
    return isinstance(callback, BaseNotifier) and own is not getattr(BaseNotifier, "async_notify", None)
