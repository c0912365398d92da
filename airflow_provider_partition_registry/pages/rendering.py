"""Rendering pages: templates that escape everything, and the policy that browsers keep for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined

from airflow_provider_partition_registry import __version__
from airflow_provider_partition_registry.domain.models import EventType
from airflow_provider_partition_registry.pages import wording
from airflow_provider_partition_registry.pages.files import address_of

_ENVIRONMENT = Environment(
    loader=PackageLoader("airflow_provider_partition_registry.pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters |= {
    "instant": wording.instant,
    "for_input": wording.for_input,
    "duration": wording.duration,
    "relative": wording.relative,
    "linked": wording.linked,
    "log_address": wording.log_address,
}
_ENVIRONMENT.globals |= {
    "version": __version__,
    "event_types": " ".join(EventType),
    "asset": address_of,
}


@dataclass(frozen=True)
class Site:
    """Where pages are shown, and what is offered there besides them.

    :param is_signed_in: whether the visitor can sign out here.
    :param has_api: whether there is a documentation of the API.
    :param news: how a page learns that something happened: by a "stream" of events, or by asking now and then ("ask").
    :param airflow: the address of the Airflow in which the pages are shown; None if they are not.
    :param registries: the names of the registries among which a visitor can choose.
    :param registry: the one that is shown.
    """

    is_signed_in: bool = False
    has_api: bool = False
    news: Literal["stream", "ask"] = "stream"
    airflow: str | None = None
    registries: Sequence[str] = ()
    registry: str = ""


@dataclass(frozen=True)
class View:
    """What a page shows.

    :param template: its name, without the extension.
    """

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)


def render(view: View, site: Site) -> str:
    """The page as HTML."""
    return _ENVIRONMENT.get_template(f"{view.template}.html").render(site=site, **view.values)


def content_security_policy(framed_by: Literal["none", "self"]) -> str:
    """What pages may load, and who may show them in a frame."""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        f"form-action 'self'; base-uri 'none'; frame-ancestors '{framed_by}'"
    )
