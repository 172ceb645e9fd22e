"""What a centre's developer asks of a server with a test centre's credentials, before the first applicant.

Each check is a small conversation with a running server: that the centre's keys, clock and signing are right,
and that the server refuses what it has to refuse. Without an application nothing is written.
"""

from collections.abc import Sequence

from integrations.centres.conformance import acts, reach, signing, soap, times
from integrations.centres.conformance.checking import Check, Outcome, Report, carry_out
from integrations.centres.conformance.talking import Credentials, Server

__all__ = ["CHECKS", "Check", "Credentials", "Outcome", "Report", "Server", "carry_out"]

CHECKS: Sequence[Check] = (*reach.CHECKS, *signing.CHECKS, *times.CHECKS, *soap.CHECKS, *acts.CHECKS)
"""Every check, in the order in which they make sense to a reader."""
