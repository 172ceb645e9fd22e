"""A pytest plugin: a run that skipped something, or expected a failure, has not passed.

What a test needs, `script/bootstrap` installs; a skip would hide that it did not. Loaded by `script/test`.
"""

import pytest


class NoSkips:
    """Collects what did not really run, and turns a green exit code red for it."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test that was skipped, at any phase, or marked as failing."""
        if report.skipped or hasattr(report, "wasxfail"):
            self.found.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A whole module that skipped itself."""
        if report.skipped:
            self.found.append(report.nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """The exit code of the run."""
        if self.found and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """One line for each, at the end."""
        for name in self.found:
            terminalreporter.write_line(f"NOT RUN {name}: a skipped test counts as failed here", red=True)


def pytest_configure(config: pytest.Config) -> None:
    """Called by pytest when the plugin is loaded."""
    config.pluginmanager.register(NoSkips())
