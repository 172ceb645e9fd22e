"""What the permits to build and to demolish have in common: how both are studied, paid for and decided on."""

from tests.integrations.paths import Path, Walker, unpaid

STUDIED = "submit utility_approve administrative_approve technical_approve"
TO_TECHNICAL = "submit utility_approve administrative_approve"
PAID = "quote invoice pay issue"
GRANTED = "quote invoice pay grant"
ISSUE = ("issue", f"{STUDIED} {PAID}")
STUDY = [
    ISSUE,
    # Sent back by each, corrected, and seen again by who sent it back.
    ("issue", f"submit utility_send_back resubmit {STUDIED.removeprefix('submit ')} {PAID}"),
    (
        "issue",
        "submit utility_approve administrative_send_back resubmit administrative_approve technical_approve "
        + PAID,
    ),
    ("issue", f"{TO_TECHNICAL} technical_send_back resubmit technical_approve {PAID}"),
    ("issue", "submit withdraw"),
    ("issue", "submit utility_send_back withdraw"),
    ("issue", "submit utility_send_back lapse"),
    ("issue", "submit utility_approve reject"),
    ("issue", "submit utility_approve withdraw"),
    ("issue", "submit utility_approve administrative_send_back withdraw"),
    ("issue", "submit utility_approve administrative_send_back lapse"),
    ("issue", f"{TO_TECHNICAL} reject"),
    ("issue", f"{TO_TECHNICAL} withdraw"),
    ("issue", f"{TO_TECHNICAL} technical_send_back withdraw"),
    ("issue", f"{TO_TECHNICAL} technical_send_back lapse"),
    *unpaid("issue", STUDIED),
]
COPY = [("copy", f"submit {GRANTED}"), *unpaid("copy", "submit")]
DECISIONS = [
    ("correct", "propose decide"),
    ("void", "propose decide"),
    ("suspend", "propose decide"),
    ("suspend", "propose drop"),
    ("revoke", "propose decide"),
]
AFTER_A_DECISION = [
    ("suspend", "reinstate", "propose decide"),
    ("suspend", "uphold", "submit approve"),
    ("revoke", "uphold", "submit approve"),
    ("revoke", "uphold", "submit reject"),
]


def standing_after(agent: Walker, decision: str, path: Path) -> tuple[str, str]:
    """How a new permit stands after a decision of the office, and after what follows that."""
    permit = agent.issued(ISSUE)
    agent.follow((decision, "propose decide"), permit)
    stood = str(agent.licence(permit)["status"])
    agent.follow(path, permit)
    return stood, str(agent.licence(permit)["status"])
