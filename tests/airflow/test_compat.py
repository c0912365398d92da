"""Airflow's names, which an older common-compat lacks."""

from __future__ import annotations

import sys

import pytest

from airflow_provider_partition_registry.runtime import compat

SDK = "airflow.providers.common.compat.sdk"


@pytest.mark.parametrize("name", sorted(compat._MODULES))
def test_airflow_itself_has_what_common_compat_may_lack(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from_common_compat = getattr(compat, name)
    monkeypatch.setitem(sys.modules, SDK, None)

    assert getattr(compat, name) is from_common_compat


def test_common_compat_is_asked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{SDK}.BaseHook", "theirs", raising=False)
    assert compat.BaseHook == "theirs"


def test_a_name_that_nobody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AttributeError, match="no attribute 'BaseHok'"):
        compat.BaseHok  # noqa: B018
    monkeypatch.setitem(compat._MODULES, "Gone", ("airflow.nowhere", "airflow.exceptions"))
    with pytest.raises(ImportError, match="has no Gone"):
        compat.Gone  # noqa: B018
