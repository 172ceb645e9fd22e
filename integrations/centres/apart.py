"""What keeps test centres and test services to one another; see `integrations.rules_of_tests`.

Whether a centre is a test centre is said once, when it is kept. A caller without the record of one is never a
test centre: no counter of the municipality, no kiosk, no person opens a case of a test service.
"""

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.caller import Caller
from foundation.errors import Conflict
from integrations.centres import rules
from integrations.centres.centre import Centre
from integrations.centres.refusals import CentreIsTest, ServiceIsTest
from integrations.service import Service

_OPENED = text("SELECT EXISTS (SELECT FROM case_file WHERE centre = :actor)")
_TEST = text("SELECT test FROM centre WHERE code = :code")


def check_new(session: Session, centre: Centre) -> None:
    """Refuse a test centre whose client has opened cases: they are a counter's, and real.

    Raises:
        Conflict: it has.
    """
    if centre.test and session.execute(_OPENED, {"actor": centre.actor}).scalar():
        raise Conflict(
            f"The client {centre.code} has opened real cases, and would keep them as a test centre.",
            remedy="Give the test centre a code of its own.",
            message_ar=f"فتح {centre.code} معاملات فعلية من قبل؛ اختر للمركز التجريبي رمزًا آخر.",
        )


def check_service(session: Session, caller: Caller, service: Service) -> None:
    """Let test centres alone open cases of test services, and of no others.

    Args:
        session: in which `rules.permit` let the caller pass.

    Raises:
        ServiceIsTest, CentreIsTest: one of the two is for tests, and the other is not.
    """
    standing = rules.standing_of(session, caller)
    by_test = standing is not None and standing.test
    if service.is_test and not by_test:
        raise ServiceIsTest(service.code)
    if by_test and not service.is_test:
        raise CentreIsTest(caller.name)


def refuse_tests(session: Session, caller: Caller) -> None:
    """Refuse a test centre what can only be real, such as what people have agreed on.

    Raises:
        CentreIsTest: the caller is one.
    """
    if rules.may_have_record(caller) and session.execute(_TEST, {"code": caller.name}).scalar():
        raise CentreIsTest(caller.name)
