"""Workers die on purpose in tests alone."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from django.core import checks
from pytest_django.fixtures import Settings

from integrations import failpoints


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The signals that would have been sent to this process's group."""
    sent: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda group, number: sent.append(number))
    return sent


def test_an_armed_point_strikes_once(tmp_path: Path, settings: Settings, killed: list[int]) -> None:
    settings.FAILPOINTS, settings.SANDBOX = str(tmp_path), True
    (tmp_path / "dispatch.posted").touch()
    failpoints.reach("dispatch.committed")
    assert killed == []
    failpoints.reach("dispatch.posted")
    failpoints.reach("dispatch.posted")
    assert killed == [signal.SIGKILL]
    assert [each.name.split(".struck-")[0] for each in tmp_path.iterdir()] == ["dispatch.posted"]


@pytest.mark.parametrize(("folder", "sandbox"), [(True, False), (False, True)])
def test_nothing_dies_in_production(
    tmp_path: Path, settings: Settings, killed: list[int], folder: bool, sandbox: bool
) -> None:
    """Neither the variable alone nor the sandbox alone is enough."""
    settings.FAILPOINTS, settings.SANDBOX = str(tmp_path) if folder else "", sandbox
    (tmp_path / "dispatch.posted").touch()
    failpoints.reach("dispatch.posted")
    assert killed == []
    assert (tmp_path / "dispatch.posted").exists()


def test_a_check_refuses_the_variable_outside_tests(settings: Settings) -> None:
    def found() -> list[str | None]:
        return [each.id for each in checks.run_checks() if each.id == "integrations.E002"]

    settings.FAILPOINTS, settings.SANDBOX = "/somewhere", True
    assert found() == []
    settings.SANDBOX = False
    assert found() == ["integrations.E002"]
    settings.FAILPOINTS = ""
    assert found() == []
