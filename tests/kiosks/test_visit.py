import pytest

from foundation.errors import Conflict
from kiosks.licence import Licence
from kiosks.visit import Visit, VisitState


def at(state: VisitState, licence: Licence) -> Visit:
    return Visit("ar", state, licence)


def test_the_way_of_a_visit_that_goes_well(licence: Licence) -> None:
    visit = Visit("ar")
    visit.read()
    visit.show(licence)
    assert visit.can_print
    visit.begin_print()
    assert not visit.takes_codes
    visit.end()
    assert visit.state is VisitState.ENDED
    assert visit.takes_codes


@pytest.mark.parametrize("state", [VisitState.READING, VisitState.PRINTING, VisitState.PENDING])
def test_no_code_is_taken_while_something_is_under_way(state: VisitState, licence: Licence) -> None:
    visit = at(state, licence)
    assert not visit.takes_codes
    with pytest.raises(Conflict):
        visit.read()


def test_nothing_is_printed_before_something_is_shown() -> None:
    visit = Visit("ar")
    assert not visit.can_print
    with pytest.raises(Conflict, match="nothing to print"):
        visit.begin_print()


def test_paper_that_is_owed_can_only_be_printed(licence: Licence) -> None:
    visit = at(VisitState.PRINTING, licence)
    visit.wait_for_printer()
    with pytest.raises(Conflict):
        visit.end()
    visit.begin_print()
    visit.end()


def test_an_uncertain_paper_can_be_printed_again(licence: Licence) -> None:
    visit = at(VisitState.PRINTING, licence)
    visit.fail("uncertain")
    assert visit.can_print
    visit.begin_print()
    assert visit.trouble == ""


def test_a_failed_reading_keeps_nothing(licence: Licence) -> None:
    visit = at(VisitState.SHOWING, licence)
    visit.read()
    assert visit.licence is None
    visit.fail("not_found")
    assert not visit.can_print


def test_a_new_code_forgets_the_licence_before_it(licence: Licence) -> None:
    visit = at(VisitState.ENDED, licence)
    visit.read()
    assert visit.licence is None
