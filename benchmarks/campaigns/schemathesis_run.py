"""Schemathesis asks every operation of the API rightly and wrongly; each answer is one that the contract has.

`st run` is a process of its own against the served API with a real token, once for each kind of caller. It
reads the description that is served, and invents requests: by rule (every limit of every field, every method
that is not there), by chance, and in chains along the links of the answers.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from benchmarks.campaigns import Evidence, Failed
from foundation.database import open_database
from foundation.guard import free_port, wait_for_port
from foundation.identity import Identity
from foundation.postgres import PrivatePostgres
from foundation.settings import load

_ROOT = Path(__file__).resolve().parents[2]
_EXAMPLES = 150
_PATIENCE, _STARTS_WITHIN = 3_600.0, 90.0
# Whose operations hand on what the next one needs; without such links there is no chain.
_LINKED = frozenset({"centre"})
_APPLICANT: dict[str, str] = {
    "kind": "national_id",
    "identifier": "1058529940",
    "name": "نورة بنت عبدالعزيز",
    "mobile": "+966501234567",
}

CALLERS: dict[str, tuple[str, ...]] = {
    "centre": (
        *(
            "list_services",
            "get_service",
            "submit",
            "list_cases",
            "submit_many",
            "get_case",
            "quote",
            "invoice",
        ),
        *("take_action", "list_documents", "put_document", "get_handed_document", "comment", "list_comments"),
        *("list_calls", "get_bill", "get_licence", "get_history", "get_document", "delegate"),
        *("search_delegations", "end_delegation", "subscribe", "list_webhooks", "unsubscribe"),
        *("replay_webhook", "pause_webhook", "resume_webhook", "rotate_webhook_secret", "verify", "keys"),
        *("verify_code", "status_list", "status_lists", "certificates"),
        # As a counter without a contract: what such a centre signs, the tests of its clients ask.
        *("get_centre", "get_centre_report", "list_shifts", "open_shift", "move_shift", "close_shift"),
    ),
    "reviewer": (
        *("inbox", "assign", "take_action", "comment", "list_comments", "get_case", "list_parked_calls"),
        *("retry_call", "get_document", "submit", "put_document"),
    ),
    "finance": (
        *("list_waiting_payments", "assign_payment", "return_payment", "get_bill", "list_refunds"),
        *("approve_refund", "send_refund", "confirm_refund", "fail_refund", "get_ledger", "get_balance"),
        "reconcile",
    ),
    "payment": ("payment", "get_bill"),
    "privacy": ("erase", "copy_subject", "search_delegations", "end_delegation"),
    "kiosk": ("submit", "list_cases", "get_licence"),
    "auditor": ("list_cases", "get_case", "get_history", "list_refunds"),
}
"""What each kind of caller asks; together every operation of the contract but those of `NOT_ASKED`."""

NOT_ASKED = {"events": "the stream does not end, and each request would wait for its time to be over"}
"""Operations that are left out, and why; tests of their own ask them."""

REFUSED_THOUGH_RIGHT: dict[str, tuple[tuple[int, ...], str]] = {
    "submit": ((422,), "the procedure says what is in the form, and the service which identifiers it takes"),
    "take_action": ((422,), "an action may need a comment, and takes only some fields"),
    "put_document": ((412, 413, 422), "the case is at another version; bytes by chance are no document"),
    "reconcile": ((400,), "a text by chance is no file of a bank"),
    "assign": ((422,), "there is nobody of such a name"),
    "comment": ((422,), "some characters are printed on no paper"),
    "erase": ((412, 422), "the case is at another version; some characters are printed on no paper"),
    "delegate": ((422,), "an identifier has a check digit, and days have an order"),
    "subscribe": ((422,), "a name by chance is no address"),
    "list_cases": ((400,), "a cursor is one that was given out"),
    "inbox": ((400,), "a cursor is one that was given out"),
    "list_refunds": ((400,), "a cursor is one that was given out"),
    "list_waiting_payments": ((400,), "a cursor is one that was given out"),
    "list_parked_calls": ((400,), "a cursor is one that was given out"),
    "quote": ((412,), "the case is at another version"),
    "invoice": ((412,), "the case is at another version"),
}
"""Operations that may refuse what their schema lets pass, with which status and why no schema can say it."""


@dataclass(frozen=True)
class Known:
    """What lies in the database, for the paths.

    Args:
        numbers: of cases and licences.
        bills: their numbers.
        ids: of refunds, webhooks, delegations.
    """

    numbers: Sequence[str]
    bills: Sequence[str]
    ids: Sequence[int]


@dataclass(frozen=True)
class Asked:
    """What was asked as one caller.

    Args:
        requests: all of them.
        accepted: right ones that were answered with what they asked for.
    """

    requests: int
    accepted: int


@dataclass(frozen=True)
class Served:
    """The API as a process of its own.

    Args:
        base: its URL.
        tokens: one for each kind of caller.
        folder: for Schemathesis' files.
        known: what lies in the database.
    """

    base: str
    tokens: Mapping[str, str]
    folder: Path
    known: Known


def run(examples: int = _EXAMPLES) -> Evidence:
    """Ask as each caller what he may ask.

    Args:
        examples: requests by chance for each operation, and chains.

    Raises:
        Failed: an answer that the contract does not have, or a request that was answered otherwise than it
            says; with Schemathesis' own words.
    """
    with serving() as served:
        done = {role: ask(served, role, names, examples) for role, names in CALLERS.items()}
    return Evidence(
        story=(
            "All checks of Schemathesis are on: no server error; status, type, headers and body as the "
            "contract has them; wrong requests refused; right ones accepted; required headers required; no "
            "method beside those named, and these in Allow; nothing answered without a token or with a wrong "
            "one; nothing found after it was deleted, and what was made is there. Where a right request may "
            "be refused for a reason that no schema can say, `REFUSED_THOUGH_RIGHT` names status and reason. "
            "A right Idempotency-Key is sent as a new one each time."
        ),
        figures=(
            ("operations", str(len({name for names in CALLERS.values() for name in names}))),
            *((f"requests as {role}", str(each.requests)) for role, each in done.items()),
            ("requests", str(sum(each.requests for each in done.values()))),
            ("right ones that were done", str(sum(each.accepted for each in done.values()))),
            ("answers that broke the contract", "0"),
            ("seed", "none: deterministic"),
        ),
    )


@contextlib.contextmanager
def serving() -> Iterator[Served]:
    """The API on a private PostgreSQL, with a caller of each kind and some records."""
    with tempfile.TemporaryDirectory(prefix="rakeeza-campaign-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        # Under root PostgreSQL runs as a user of its own, which has to pass.
        folder.chmod(0o711)
        port = free_port()
        settings = folder / "rakeeza.toml"
        with PrivatePostgres(folder / "postgres", max_connections=60).lease() as url:
            settings.write_text(
                f"[platform]\nfolder = {json.dumps(str(folder / 'platform'))}\n"
                f"[database]\nurl = {json.dumps(url)}\n[http]\nport = {port}\n"
                "[webhooks]\nallow_private = true\n",
                encoding="utf-8",
            )
            command = [
                sys.executable,
                "-m",
                "console",
                "--settings",
                str(settings),
                "serve",
                "--roles",
                "api",
            ]
            with (folder / "api.log").open("wb") as log:
                process = subprocess.Popen(command, cwd=_ROOT, stdout=log, stderr=log)
            try:
                wait_for_port("127.0.0.1", port, _STARTS_WITHIN, "the API")
                tokens = _tokens(settings)
                base = f"http://127.0.0.1:{port}"
                yield Served(base, tokens, folder, _records(base, tokens))
            finally:
                process.terminate()
                process.wait(_STARTS_WITHIN)


def _tokens(settings: Path) -> dict[str, str]:
    read = load(settings, {})
    tokens = {}
    with open_database(read, role="campaign") as database:
        identity = Identity(database, read.secrets(), 86_400)
        for role in CALLERS:
            with database.transaction() as session:
                secret = identity.add_client(session, f"{role}-1", [role], role)
            tokens[role] = identity.token(f"{role}-1", secret).token.reveal()
    return tokens


def _records(base: str, tokens: Mapping[str, str]) -> Known:
    """Cases in several states, a licence with a refund due, webhooks, a delegation."""
    with httpx.Client(base_url=base, timeout=60) as client:

        def write(role: str, path: str, body: Any = None) -> Any:
            headers = {
                "Authorization": f"Bearer {tokens[role]}",
                "Idempotency-Key": str(uuid.uuid4()),
            }
            return client.post(path, json=body, headers=headers).raise_for_status().json()

        service = client.get("/v1/services/shop_licence").raise_for_status().json()
        form = service["procedures"]["issue"]["form"]["properties"]
        said: dict[str, Any] = {
            "service": "shop_licence",
            "applicant": _APPLICANT,
            "form": {name: field["examples"][0] for name, field in form.items()},
        }
        reviewed = {**said, "form": {**said["form"], "activity": "561010"}}
        opened = [write("centre", "/v1/cases", each)["number"] for each in (said, said, reviewed, reviewed)]
        paid = opened[0]
        write("centre", f"/v1/cases/{paid}/quote")
        bill = write("centre", f"/v1/cases/{paid}/invoice")
        for reference in ("bank-1", "bank-2"):
            notice = {
                "bill_number": bill["bill_number"],
                "amount": bill["amount"],
                "paid_at": datetime.now(UTC).isoformat(),
                "reference": reference,
            }
            write("payment", "/v1/payments", notice)
        hooks = [write("centre", "/v1/webhooks", {"url": "http://127.0.0.1:9/"})["id"] for _ in range(2)]
        person = {name: _APPLICANT[name] for name in ("kind", "identifier", "name")}
        agent = {"kind": "national_id", "identifier": "1001244019", "name": "عبدالله بن سعد"}
        order = {"principal": person, "agent": agent, "capacity": "manager"}
        delegation = write("centre", "/v1/delegations", order)["id"]
        headers = {"Authorization": f"Bearer {tokens['centre']}"}
        licence = client.get(f"/v1/cases/{paid}", headers=headers).raise_for_status().json()["licence"]
    return Known([*opened, licence], [bill["bill_number"]], sorted({1, *hooks, delegation}))


def ask(served: Served, role: str, operations: Sequence[str], examples: int) -> Asked:
    """Let Schemathesis ask as one caller.

    Args:
        operations: by their names.
        examples: requests by chance for each of them, and chains.

    Raises:
        Failed: as `run`.
    """
    settings, report = served.folder / f"{role}.toml", served.folder / f"{role}.json"
    settings.write_text(_settings(served.known, operations), encoding="utf-8")
    phases = "examples,coverage,fuzzing,stateful" if role in _LINKED else "examples,coverage,fuzzing"
    command = [
        *(str(Path(sys.executable).with_name("st")), "--config-file", str(settings)),
        *("run", f"{served.base}/openapi.json", "--checks", "all", "--phases", phases),
        *("--max-examples", str(examples), "--generation-deterministic"),
        *("--header", f"Authorization: Bearer {served.tokens[role]}"),
        *("--request-timeout", "60", "--warnings", "off", "--no-color"),
        *("--report", "json", "--report-json-path", str(report)),
        *(word for name in operations for word in ("--include-operation-id", name)),
    ]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    done = subprocess.run(
        command,
        cwd=served.folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    if done.returncode:
        raise Failed(f"as {role}:\n{done.stdout}{done.stderr}")
    return _asked(json.loads(report.read_text(encoding="utf-8")), role, len(operations))


def _asked(report: dict[str, Any], role: str, operations: int) -> Asked:
    """What a run has done, if it has done all of it."""
    if report["operations"]["tested"] != operations or not report["complete"] or report["errors"]:
        raise Failed(f"as {role}: not every operation was asked: {report['operations']} {report['errors']}")
    rates = [rate for phases in report["valid_rates"].values() for rate in phases.values()]
    return Asked(report["test_cases"]["generated"], sum(rate["accepted"] for rate in rates))


def _settings(known: Known, operations: Sequence[str]) -> str:
    """Schemathesis' own settings: what stands in paths, and where a right request may be refused."""
    dictionaries: dict[str, Sequence[str | int]] = {
        "numbers": known.numbers,
        "bills": known.bills,
        "ids": known.ids,
        "codes": ("shop_licence", "lease_or_deed", "building_permit"),
        "actions": ("approve", "reject", "send_back", "resubmit", "withdraw", "withdraw_billed"),
    }
    parameters = {
        "number": "numbers",
        "bill_number": "bills",
        "refund": "ids",
        "webhook": "ids",
        "delegation": "ids",
        "call": "ids",
        "shift": "ids",
        "code": "codes",
        "action": "actions",
    }
    lines = ['hooks = "benchmarks.faults.fresh_keys"', "[dictionaries]"]
    lines += [f"{name} = {{values = {json.dumps(list(values))}}}" for name, values in dictionaries.items()]
    lines.append("[parameters]")
    lines += [
        f'"path.{name}" = {{dictionary = "{values}", probability = 0.7}}'
        for name, values in parameters.items()
    ]
    for name in operations:
        if name in REFUSED_THOUGH_RIGHT:
            statuses = ["2xx", 401, 403, 404, 409, 412, *REFUSED_THOUGH_RIGHT[name][0]]
            lines += [
                "[[operations]]",
                f'include-operation-id = "{name}"',
                f"[operations.checks.positive_data_acceptance]\nexpected-statuses = {json.dumps(statuses)}",
            ]
    return "\n".join(lines) + "\n"
