"""Masks access tokens in logs, as callers may put one into a path or a request id by mistake."""

from __future__ import annotations

import json
import re

from airflow_provider_partition_registry.domain.tokens import PREFIX

_OF_REGISTRY = rf"{PREFIX}_[\w-]+"


class Mask:
    """Replaces whatever looks like an access token.

    :param administrator_token: it has no particular form, so it must be known; None if there is none.
    """

    def __init__(self, administrator_token: str | None) -> None:
        # As it is, and as it is written inside JSON.
        chosen = [administrator_token, json.dumps(administrator_token)[1:-1]] if administrator_token else []
        self._tokens = re.compile("|".join([*map(re.escape, chosen), _OF_REGISTRY]))

    def applied_to(self, text: str) -> str:
        """The text with its tokens masked."""
        return self._tokens.sub("***", text)

    def is_needed_for(self, text: str) -> bool:
        """Whether the text contains a token."""
        return self._tokens.search(text) is not None
