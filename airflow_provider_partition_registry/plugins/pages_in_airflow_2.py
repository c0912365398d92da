"""The pages as a blueprint of Airflow 2's web server, which is made of Flask. Imported in no other process."""

from __future__ import annotations

from typing import Any

from airflow.www.auth import has_access_dataset
from flask import Blueprint, Response, request

from airflow_provider_partition_registry.pages.embedding import EmbeddedPages, Reply, file_at
from airflow_provider_partition_registry.plugins.shown_registries import ConnectedRegistries
from airflow_provider_partition_registry.runtime.addresses import PAGES

NAME = "partition_registry"


def flask_blueprints() -> list[Any]:
    """The blueprint, for whoever may look at datasets."""
    blueprint = Blueprint(NAME, __name__, url_prefix=PAGES)
    pages = EmbeddedPages(ConnectedRegistries())

    def answer(path: str) -> Response:
        return _as_response(pages.answer(path, request.args.to_dict()))

    answer_who_may_read = has_access_dataset("GET")(answer)  # noqa: AIR301 - Airflow 3 has pages of its own

    def serve(path: str = "") -> Any:
        found = file_at(path)
        return answer_who_may_read(path) if found is None else _as_response(found)

    for rule in ("/", "/<path:path>"):
        blueprint.add_url_rule(rule, "serve", serve)
    return [blueprint]


def _as_response(reply: Reply) -> Response:
    return Response(reply.content, reply.status, dict(reply.headers), content_type=_content_type(reply))


def _content_type(reply: Reply) -> str:
    return f"{reply.media_type}; charset=utf-8" if reply.media_type.startswith("text/") else reply.media_type
