"""What comes of each fault of each simulated back-end: the one table that the tests of all drivers go by.

Columns: `registry` is each driver that asks by JSON, and how a bill stands at the payment system; `identity`
is asked by SOAP; `uploads` and `settlements` are the payment system's. A cell is the reason of
`BackendUnavailable`, one of several where it hangs on the moment; `!` marks a `BackendRejection`, and
`-` a fault that this one does not have. Nothing in it is an answer: no fault is ever read as a no.
"""

TABLE = """
fault            registry           identity           uploads            settlements
slow             timeout            timeout            timeout            timeout
drip             timeout            timeout            timeout            timeout
drip_head        timeout            timeout            timeout            timeout
half             network|protocol   network|protocol   network|protocol   network|protocol
reset            network|protocol   network|protocol   network|protocol   network|protocol
drop_before      network|protocol   network|protocol   network|protocol   network|protocol
drop_after       network|protocol   network|protocol   network|protocol   network|protocol
down             connect            connect            connect            connect
error            server             server             server             server
overloaded       server             server             server             server
rate_limit       rate_limit         rate_limit         rate_limit         rate_limit
busy_fault       -                  rate_limit         -                  -
not_permitted    -                  credentials        -                  -
redirect         unexpected_status  unexpected_status  unexpected_status  unexpected_status
nonsense         malformed          malformed          malformed          malformed
html             -                  not_xml            -                  -
doctype          -                  malformed          -                  -
deep             -                  too_large          -                  -
huge             too_large          too_large          too_large          too_large
wrong_schema     wrong_shape        wrong_shape        wrong_shape        wrong_shape
unknown_result   -                  wrong_shape        -                  -
wrong_signature  wrong_signature    wrong_signature    wrong_signature    wrong_signature
unsigned         wrong_signature    wrong_signature    wrong_signature    wrong_signature
other_key        -                  wrong_signature    -                  -
wrapped          -                  wrong_signature    -                  -
unsigned_fault   -                  unsigned_fault     -                  -
forged_fault     -                  unsigned_fault     -                  -
stale            -                  expired            -                  -
replayed         not_ours           not_ours           not_ours           not_ours
other_person     not_ours           not_ours           -                  -
other_question   not_ours           not_ours           -                  -
other_request    -                  not_ours           -                  -
other_fault      -                  not_ours           -                  -
other_upload     -                  -                  not_ours           -
strange_bill     -                  -                  not_ours           -
wrong_count      -                  -                  not_ours           not_whole
wrong_sum        -                  -                  not_ours           not_whole
missing_page     -                  -                  -                  not_whole
other_day        -                  -                  -                  not_ours
later_day        -                  -                  -                  not_ours
reject           !status_422        !invalid_request   !status_422        !status_422
"""
"""From `replayed` on they lie, well-formed and well-signed: about another person, deed, bill or day, of
another amount or number, or what was true of an earlier question."""

_HEAD, *_ROWS = [line.split() for line in TABLE.strip().splitlines()]


def column(name: str) -> dict[str, tuple[str, ...]]:
    """What comes of each fault of a column, that leaves its question without an answer."""
    place = _HEAD.index(name)
    return {row[0]: tuple(row[place].split("|")) for row in _ROWS if row[place][0] not in "-!"}


def faults(name: str) -> set[str]:
    """All faults of a column."""
    place = _HEAD.index(name)
    return {row[0] for row in _ROWS if row[place] != "-"}
