"""Who is told something in tests of notifiers: functions and notifiers that remember it, and a mailbox."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseNotifier

from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.contract import RegistryStore
from testbed.mail import MailServer
from tests.airflow.registries import THE_DAY

HERE = __name__
SMTP_NOTIFIER = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
LETTER = {
    "to": "team@example.com",
    "from_email": "airflow@example.com",
    "subject": "Late: {{ explanation.splitlines()[0] }}",
    "html_content": "<pre>{{ explanation | e }}</pre>",
    "smtp_conn_id": "mail",
}

heard: list[str] = []
"""What anybody in this module was told, in order."""


def hear(context: Any, prefix: str = "") -> None:
    heard.append(prefix + context["explanation"])


async def hear_in_loop(context: Any) -> None:
    await asyncio.sleep(0)
    hear(context)


class Hearing(BaseNotifier):
    """As notifiers of providers are: it renders a text and sends it."""

    template_fields = ("text",)

    def __init__(self, text: str = "{{ explanation }}", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.text = text

    def notify(self, context: Any) -> None:
        heard.append(self.text)


class HearingInLoop(Hearing):
    def notify(self, context: Any) -> None:
        raise AssertionError("in a triggerer it is to be awaited")

    async def async_notify(self, context: Any) -> None:
        await asyncio.sleep(0)
        heard.append(self.text)


@pytest.fixture(autouse=True)
def nothing_heard_yet() -> None:
    heard.clear()


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    """A mail server, and Airflow's connection to it."""
    with MailServer() as server:
        monkeypatch.setenv("AIRFLOW_CONN_MAIL", server.connection)
        yield server


def lock(registry: RegistryStore, provider: str = "loader", source: str = "sales", **how: Any) -> None:
    registry.lock(PartitionKey(source, provider, THE_DAY), register=True, holder="the-night-job", **how)


async def as_in_triggerer(notifier: Any, context: Any = None) -> None:
    """Have a notifier called as Airflow's triggerer does; Airflow 2 never does."""
    context = {"dag": None} if context is None else context
    notifier.render_template_fields(context)
    await notifier.async_notify(context)
