"""What a centre's developer asks of a server with a test centre's credentials, before the first applicant.

Each check is a small conversation with a running server, by REST and by SOAP: that the centre's keys, clock
and signing are right, and that the server refuses what it has to refuse, as the contract says. Without an
application nothing is written.
"""

from collections.abc import Sequence

from integrations.centres.conformance import (
    acts,
    licence,
    reach,
    signing,
    soap,
    soap_attachments,
    soap_security,
    times,
)
from integrations.centres.conformance.checking import Check, Group, Outcome, carry_out
from integrations.centres.conformance.report import Report
from integrations.centres.conformance.talking import Credentials, Server

__all__ = ["CHECKS", "GROUPS", "Check", "Credentials", "Group", "Outcome", "Report", "Server", "carry_out"]

GROUPS: Sequence[Group] = (
    Group("The server, the keys and the clock", reach.CHECKS),
    Group("REST: what is signed", signing.CHECKS),
    Group("REST: time, and sending again", times.CHECKS),
    Group("SOAP: the contract and the form of messages", soap.CHECKS),
    Group("SOAP: WS-Security", soap_security.CHECKS),
    Group("SOAP: attachments", soap_attachments.CHECKS),
    Group("Writes", acts.CHECKS),
    Group("A whole licence", licence.CHECKS),
)
"""Every check, in the order in which they make sense to a reader."""

CHECKS: Sequence[Check] = tuple(check for group in GROUPS for check in group.checks)
