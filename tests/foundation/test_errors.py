import inspect
import re

import pytest

from foundation import errors
from foundation.errors import FieldError, NotFound, RakeezaError, Unavailable, exit_code, problem

ALL = sorted(
    (kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, RakeezaError)),
    key=lambda kind: kind.__name__,
)


def test_every_error_of_the_module_is_drawn_in_the_tree_under_its_parent() -> None:
    drawn: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for row in (errors.__doc__ or "").splitlines():
        found = re.match(r"([ │├└─]*)([A-Z]\w+)", row)
        if not found or not row.startswith("    "):
            continue
        depth, name = len(found[1]), found[2]
        above = [(outer, parent) for outer, parent in above if outer < depth]
        drawn[name] = above[-1][1] if above else ""
        above.append((depth, name))
    real = {kind.__name__: kind.__base__.__name__ if kind.__base__ else "" for kind in ALL}
    real["RakeezaError"] = ""
    assert drawn == real


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_has_a_problem_document_and_an_exit_code(kind: type[RakeezaError]) -> None:
    error = kind("It broke.", place="there", remedy="Mend it.")
    document = problem(error)
    assert document["status"] in range(400, 600)
    assert document["type"] == "urn:rakeeza:problem:" + re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()
    assert re.search("[؀-ۿ]", document["title_ar"])
    assert exit_code(error) in range(64, 79)


def test_only_what_can_pass_by_itself_is_retryable() -> None:
    assert {kind.__name__ for kind in ALL if kind.retryable} == {
        "Unavailable",
        "DatabaseUnavailable",
        "DeviceUnreachable",
    }


def test_the_sentence_has_place_and_remedy() -> None:
    assert str(NotFound("It is gone.", place="shelf 3", remedy="Look again.")) == (
        "shelf 3: It is gone. Look again."
    )
    assert str(NotFound("It is gone.")) == "It is gone."


def test_an_error_of_ours_tells_a_stranger_no_place_inside() -> None:
    inner = problem(errors.SettingsError("The key is missing.", place="/var/lib/rakeeza/secrets.key"))
    assert inner["detail"] == "The key is missing."
    assert "later" in problem(Unavailable("Try later.", place="queue"))["detail"]


def test_wrong_fields_stand_in_the_problem_document() -> None:
    error = errors.InvalidInput("Wrong.", fields=(FieldError("/form/area", "must be more than 0"),))
    assert problem(error)["errors"] == [{"pointer": "/form/area", "detail": "must be more than 0"}]


def test_an_error_without_a_row_of_its_own_speaks_as_its_parent() -> None:
    class PrinterGone(errors.DeviceUnreachable):
        pass

    assert problem(PrinterGone("No printer."))["type"] == "urn:rakeeza:problem:device-unreachable"
    assert exit_code(PrinterGone("No printer.")) == 75


def test_an_error_with_titles_of_its_own_speaks_under_its_own_name_with_its_parents_status() -> None:
    class ShiftClosed(errors.Conflict):
        titles = ("No open shift", "لا توجد وردية مفتوحة")

    class NightShiftClosed(ShiftClosed):
        pass

    for kind in (ShiftClosed, NightShiftClosed):
        document = problem(kind("Open a shift."))
        assert (document["type"], document["status"]) == ("urn:rakeeza:problem:shift-closed", 409)
        assert (document["title"], document["title_ar"]) == ShiftClosed.titles
