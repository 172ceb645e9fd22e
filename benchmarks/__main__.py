"""Run every benchmark, or the one that is named, each in a process of its own."""

import ast
import subprocess
import sys
from pathlib import Path

_FOLDER = Path(__file__).parent


def cases(folder: Path) -> dict[str, str]:
    """The cases of a folder by name, with the first line of their docstrings."""
    found = {}
    for file in sorted(folder.glob("*.py")):
        if not file.stem.startswith("_"):
            text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
            found[file.stem.replace("_", "-")] = text.partition("\n")[0]
    return found


def main() -> None:
    """The command line of script/bench."""
    known = cases(_FOLDER)
    name, *arguments = sys.argv[1:] or [""]
    if name and name not in known:
        listed = "".join(f"\n  {case:12} {about}" for case, about in known.items())
        sys.exit(f"bench: there is no case {name!r}. Known:{listed}")
    failed = []
    for case, about in known.items():
        if name in ("", case):
            print(f"{case}: {about}", flush=True)
            module = f"benchmarks.{case.replace('-', '_')}"
            # A process of its own: one case's imports and memory are not another's.
            if subprocess.run([sys.executable, "-m", module, *arguments], check=False).returncode:
                failed.append(case)
    if failed:
        sys.exit(f"bench: failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
