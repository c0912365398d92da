"""The DAGs in the tutorial and the how-to guides can be copied: they parse, run, and do what the text says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.contract.writing import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from testbed.mail import MailServer, text_of
from tests.airflow.registries import Connect
from tests.airflow.runs import Rerun, Run, RunDag
from tests.airflow.versions import IS_AIRFLOW_3, VERSION
from tests.documents import DOCS, blocks

READ = DOCS / "how-to" / "read.md"
PAGES = [DOCS / "tutorial.md", *sorted(DOCS.glob("how-to/*.md"))]
DAY = Interval("2026-11-01", "2026-11-02")
NEXT_DAY = Interval("2026-11-02", "2026-11-03")
NOVEMBER = Interval("2026-11-01", "2026-12-01")
PROVIDERS = {
    "shop.sales": ("sales_by_shop", "example_producer", "nightly_sales", "reload_sales"),
    "shop.returns": ("returns",),
    "shop.stock": ("stock",),
    "shop.visits": ("morning-loader", "afternoon-loader"),
    "shop.clicks": ("click-loader",),
    "shop.orders": ("load_orders",),
    "shop.prices": ("prices",),
    "finance.rates": ("rates-loader",),
}


def dags_of(page: Path) -> Iterator[str]:
    """The DAGs on a page that this Airflow can have."""
    for block in blocks(page, "python"):
        if "with DAG(" in block and (IS_AIRFLOW_3 or "from airflow.sdk" not in block):
            yield block


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each DAG in a file of its own, as users would have them."""
    folder = tmp_path_factory.mktemp("dags")
    for page in PAGES:
        for number, block in enumerate(dags_of(page)):
            (folder / f"{page.stem}_{number}.py").write_text(block)
    return folder


_loaded: dict[str, Any] = {}


@pytest.fixture
def dags(folder: Path, load_dags: Callable[[Path], Any]) -> dict[str, Any]:
    """All of them by their ids, loaded once."""
    if not _loaded:
        dag_bag = load_dags(folder)
        assert dag_bag.import_errors == {}
        assert dag_bag.captured_warnings == {}
        _loaded.update(dag_bag.dags)
    return _loaded


@pytest.fixture
def registry(tmp_path: Path, connect: Connect) -> Iterator[RegistryStore]:
    """A registry with the sources and providers that the pages name; tasks act as their DAG."""
    url = f"sqlite:///{tmp_path}/registry.db"
    connect(url, extra={"instance": "here"})
    with open_store(url) as store:
        for source, providers in PROVIDERS.items():
            token = store.register_source(source, "ann").access_token
            for provider in providers:
                store.register_provider(provider, token)
        yield store


def publish(store: RegistryStore, source: str, provider: str, *intervals: Interval) -> None:
    for interval in intervals:
        key = PartitionKey(source, provider, interval)
        store.lock(key, register=True)
        store.unlock(key)


def hours(day: Interval, first: int) -> Iterator[Interval]:
    for number in range(first, 24):
        start = day.start + timedelta(hours=number)
        yield Interval(start, start + timedelta(hours=1))


def assert_success(run: Run) -> None:
    assert run.state == "success", run.errors
    assert set(run.states.values()) == {"success"}


def test_every_dag_is_run_below(dags: dict[str, Any]) -> None:
    told = set(re.findall(r'"(\w+)"', Path(__file__).read_text()))
    assert dags.keys() <= told
    assert len(dags) == sum(len(list(dags_of(page))) for page in PAGES)


@pytest.mark.parametrize(
    ("dag_id", "source", "interval"),
    [
        ("example_producer", "shop.sales", NEXT_DAY),
        ("sales_by_shop", "shop.sales", DAY),
        ("returns", "shop.returns", DAY),
        ("stock", "shop.stock", DAY),
    ],
)
def test_writers(
    dags: dict[str, Any],
    registry: RegistryStore,
    run_dag: RunDag,
    dag_id: str,
    source: str,
    interval: Interval,
) -> None:
    assert_success(run_dag(dags[dag_id]))
    assert registry.check_readiness(source, interval)


def test_readers(dags: dict[str, Any], registry: RegistryStore, run_dag: RunDag) -> None:
    publish(registry, "shop.sales", "example_producer", DAY, NEXT_DAY)
    publish(registry, "shop.returns", "returns", DAY)
    publish(registry, "finance.rates", "rates-loader", NOVEMBER)
    for dag_id in ("example_consumer", "sales_report", "careful_report", "margin"):
        assert_success(run_dag(dags[dag_id]))


def test_a_reader_is_told_of_a_rewrite(
    dags: dict[str, Any], registry: RegistryStore, run_dag: RunDag, rerun: Rerun
) -> None:
    """In the words that the page shows."""
    told: list[str] = []
    check = dags["careful_report"].get_task("unchanged")
    check.on_failure_callback = [lambda context: told.append(str(context["exception"]))]
    publish(registry, "shop.sales", "nightly_sales", DAY)
    run = run_dag(dags["careful_report"])
    assert_success(run)
    publish(registry, "shop.sales", "nightly_sales", DAY)

    assert rerun(run, "unchanged").states["unchanged"] == "failed"

    (shown,) = blocks(READ, "text")
    assert [in_general(shown)] == [in_general(each) for each in told]


def in_general(text: str) -> str:
    """A message without what differs from run to run."""
    return re.sub(r"(event|by \S+ at) \S+", "...", text).strip()


def test_asking_once(dags: dict[str, Any], registry: RegistryStore, run_dag: RunDag) -> None:
    run = run_dag(dags["sales_or_not"])
    assert run.states == {"is_ready": "success", "report": "skipped", "report_without_sales": "success"}
    assert run_dag(dags["sales_if_ready"]).states == {"is_ready": "success", "refresh": "skipped"}
    publish(registry, "shop.sales", "nightly_sales", DAY)
    assert run_dag(dags["sales_or_not"]).states["report"] == "success"
    assert_success(run_dag(dags["sales_if_ready"]))


BE_TOLD = DOCS / "how-to" / "be-told.md"


def test_being_told_by_mail(
    dags: dict[str, Any], registry: RegistryStore, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the sensor has given up."""
    dag = dags["report_or_mail"]
    wait = dag.get_task("wait_for_sales")
    wait.timeout, wait.poke_interval = 0.2, 0.1
    with MailServer() as server:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", server.connection)
        assert run_dag(dag).states["wait_for_sales"] == "failed"
    (letter,) = server.received
    assert letter["Subject"] == "report_or_mail gave up waiting for 2026-11-01"
    assert f"Not ready: {DAY} of source 'shop.sales':" in text_of(letter)


@pytest.mark.skipif(VERSION < (3, 1), reason="Airflow has deadline alerts since 3.1")
def test_a_deadline_of_the_page(
    dags: dict[str, Any], registry: RegistryStore, monkeypatch: pytest.MonkeyPatch, miss_deadline: Any
) -> None:
    with MailServer() as server:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", server.connection)
        miss_deadline(dags["report_by_nine"], logical_date="2026-11-01T07:00:00Z")
    (letter,) = server.received
    assert letter["Subject"] == "report_by_nine is still waiting"
    assert f"Not ready: {DAY} of source 'shop.sales':" in text_of(letter)


def test_the_callback_of_airflow_2_is_as_the_page_shows_it() -> None:
    """See ``test_when_a_run_is_late_on_airflow_2`` for what it does."""
    (shown,) = blocks(BE_TOLD, "text")
    arguments = re.findall(r"\b(\w+)=", shown)
    assert arguments == ["sla_miss_callback", "source_name", "start", "grain", "tell"]
    assert "{{ slas[0].execution_date }}" in shown


def test_held_locks(dags: dict[str, Any], registry: RegistryStore, run_dag: RunDag) -> None:
    assert_success(run_dag(dags["held_locks"]))


def test_lineage(dags: dict[str, Any], registry: RegistryStore, run_dag: RunDag) -> None:
    assert_success(run_dag(dags["load_orders"]))
    assert_success(run_dag(dags["orders_report"]))
    (asset,) = dags["load_orders"].get_task("write.unlock").outlets
    assert asset.uri == "partition-registry://shop.orders"
    assert dags["orders_report"].get_task("wait").inlets == [asset]


def test_a_reader_of_what_is_enough(dags: dict[str, Any], registry: RegistryStore, run_dag: RunDag) -> None:
    """Of the clicks of a day in Berlin an hour is missing, and of the rates the present month."""
    start = datetime(2026, 10, 31, 23, tzinfo=UTC)
    day = Interval(start, start + timedelta(days=1))
    publish(registry, "shop.sales", "sales_by_shop", day)
    publish(registry, "shop.stock", "stock", Interval("2026-10-30", "2026-11-02"))
    publish(registry, "finance.rates", "rates-loader", Interval("2026-09-01", "2026-11-01"))
    publish(registry, "shop.clicks", "click-loader", Interval(day.start, day.end - timedelta(hours=1)))
    publish(registry, "shop.visits", "morning-loader", day)
    run = run_dag(dags["margin_with_fallbacks"])
    assert_success(run)
    assert [each["source_name"] for each in run.results["wait_for_data"]] == [
        *("shop.sales", "shop.stock", "finance.rates", "shop.visits")
    ]


def test_two_writers(dags: dict[str, Any], registry: RegistryStore, run_dag: RunDag) -> None:
    assert_success(run_dag(dags["visits"]))
    assert_success(run_dag(dags["visit_corrections"]))
    assert registry.check_readiness("shop.visits", DAY)


def test_hours_make_a_day(dags: dict[str, Any], registry: RegistryStore, run_dag: RunDag) -> None:
    publish(registry, "shop.clicks", "click-loader", *hours(DAY, 2))
    assert_success(run_dag(dags["hourly_clicks"], run_conf={"hours": 2}))
    assert_success(run_dag(dags["daily_clicks"]))


def test_each_run_of_a_backfill_has_its_day(
    dags: dict[str, Any], registry: RegistryStore, run_dag: RunDag
) -> None:
    assert_success(run_dag(dags["nightly_sales"], logical_date=datetime(2026, 11, 2, tzinfo=UTC)))
    assert registry.check_readiness("shop.sales", NEXT_DAY)
    assert not registry.check_readiness("shop.sales", DAY)


def test_many_partitions_in_one_run(dags: dict[str, Any], registry: RegistryStore, run_dag: RunDag) -> None:
    assert_success(run_dag(dags["reload_sales"]))
    assert registry.check_readiness("shop.sales", Interval("2026-11-01", "2026-12-01"))
    assert len(registry.list_partitions("shop.sales").items) == 30


def test_clearing(dags: dict[str, Any], registry: RegistryStore, run_dag: RunDag, rerun: Rerun) -> None:
    """The table on the page: clearing from the first task on, and from a later one on."""
    key = PartitionKey("shop.prices", "prices", DAY)
    run = run_dag(dags["prices"])
    assert_success(run)

    assert_success(rerun(run, "partition_lock.extract"))
    assert (registry.get_partition(key).generation, registry.get_partition(key).state) == (2, "ready")

    assert rerun(run, "partition_lock.load").state == "failed"
    partition = registry.get_partition(key)
    assert partition.state == "failed"
    assert "extract" in partition.reason


def test_the_commands_that_start_a_backfill(dags: dict[str, Any]) -> None:
    from airflow.cli.cli_parser import get_parser

    (commands,) = blocks(DOCS / "how-to" / "backfill.md", "console")
    of_3, of_2 = commands.splitlines()
    _, *arguments = (of_3 if IS_AIRFLOW_3 else of_2).split()
    assert get_parser().parse_args(arguments).dag_id in dags
