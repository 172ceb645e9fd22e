"""Run every campaign, or the one that is named, and keep its evidence under docs/evidence/."""

import importlib
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.__main__ import cases
from benchmarks.campaigns import Evidence, Failed

_FOLDER = Path(__file__).parent
_EVIDENCE = _FOLDER.parents[1] / "docs" / "evidence"


def page(case: str, about: str, evidence: Evidence, seconds: float) -> str:
    """The evidence as it is kept, in Markdown.

    Args:
        case: its name.
        about: the first line of its docstring.
        evidence: what it observed.
        seconds: how long it took.
    """
    rows = "\n".join(f"| {name} | {value} |" for name, value in evidence.figures)
    return (
        f"# {case}\n\n{about}\n\n{evidence.story}\n\n| figure | value |\n|---|---|\n{rows}\n\n"
        f"Run with `script/campaign {case}` on {datetime.now(UTC):%Y-%m-%d}, commit {_commit()}, "
        f"in {seconds:.0f} s.\nMachine: {_machine()}.\n"
    )


def main() -> None:
    """The command line of script/campaign."""
    known = cases(_FOLDER)
    wanted = sys.argv[1:] or list(known)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        listed = "".join(f"\n  {case:16} {about}" for case, about in known.items())
        sys.exit(f"campaign: there is no case {unknown[0]!r}. Known:{listed}")
    failed = False
    for case in wanted:
        print(f"{case}: {known[case]}", flush=True)
        started = time.monotonic()
        try:
            evidence = importlib.import_module(f"benchmarks.campaigns.{case.replace('-', '_')}").run()
        except Failed as reason:
            print(f"campaign: {case}: {reason}", file=sys.stderr)
            failed = True
            continue
        text = page(case, known[case], evidence, time.monotonic() - started)
        (_EVIDENCE / f"{case}.md").write_text(text, encoding="utf-8")
        print("\n".join(f"  {name}: {value}" for name, value in evidence.figures), flush=True)
    sys.exit(failed)


def _commit() -> str:
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=_FOLDER, text=True, capture_output=True, check=False
    )
    return told.stdout.strip() or "unknown"


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    cores = len(os.sched_getaffinity(0))
    return (
        f"{system}, {platform.machine()}, {cores} cores, {memory:.0f} GiB, Python {platform.python_version()}"
    )


if __name__ == "__main__":
    main()
