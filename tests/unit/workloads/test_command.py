"""`python -m push_workloads`."""

from __future__ import annotations

import pytest

from push_workloads.__main__ import EXIT_USAGE, SERVICES, main


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["gatway"], ["auth", "push"]])
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == EXIT_USAGE
    said = capsys.readouterr().err
    assert all(name in said for name in SERVICES)
    assert ("no service 'gatway'" in said) == (arguments == ["gatway"])
