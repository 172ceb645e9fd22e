"""Signed writes of private centres that were tampered with, or signed by somebody else: nothing is taken."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import ec

from foundation.wire.content_digest import content_digest
from tests.integrations.signed_town import (
    AMAL,
    KEYED,
    OTHER,
    PROBE,
    Kit,
    Town,
    add_signature,
    refused,
    signed,
    taken,
)

pytest_plugins = ["tests.integrations.signed_fixtures"]

BODY = b'{"name": "x"}'
LATE, AHEAD = timedelta(seconds=301), timedelta(seconds=90)


def _to(
    method: str | None = None, path: str | None = None, content: bytes | None = None, **headers: str
) -> Any:
    def tampered(town: Town, request: httpx.Request) -> httpx.Request:
        sent = {**dict(request.headers), **{n.replace("_", "-").lower(): v for n, v in headers.items()}}
        body = request.content if content is None else content
        if content is not None:
            sent.pop("content-length")
        url = str(request.url) if path is None else town.url + path
        return town.http.build_request(method or request.method, url, headers=sent, content=body)

    return tampered


TAMPERED: dict[str, tuple[Any, str, int]] = {
    "method": (_to(method="PUT"), "signature-wrong", 403),
    "path": (_to(path="/v1/cases?a=1&b=2"), "signature-wrong", 403),
    "query": (_to(path="/v1/probe?a=1&b=3"), "signature-wrong", 403),
    "order of the query": (_to(path="/v1/probe?b=2&a=1"), "signature-wrong", 403),
    "no query": (_to(path="/v1/probe"), "signature-wrong", 403),
    "spelling of the query": (_to(path="/v1/probe?a=%31&b=2"), "signature-wrong", 403),
    "host": (_to(Host="localhost"), "signature-wrong", 403),
    "body": (_to(content=b'{"name": "y"}'), "wrong-digest", 422),
    "body with its digest": (
        _to(content=b"{}", Content_Digest=content_digest(b"{}")),
        "signature-wrong",
        403,
    ),
    "another digest beside": (
        _to(Content_Digest=f"{content_digest(BODY)}, {content_digest(BODY, 'sha-512')}"),
        "signature-wrong",
        403,
    ),
    "token": (_to(Authorization="Bearer x"), "signature-wrong", 403),
    "key of the write": (_to(Idempotency_Key="another-key-of-twenty"), "signature-wrong", 403),
    "version": (_to(If_Match='"7"'), "signature-insufficient", 403),
    "device": (_to(Centre_Device="counter-2"), "signature-insufficient", 403),
}


def test_what_was_signed_cannot_be_changed(town: Town, kit: Kit) -> None:
    path = f"{PROBE}?a=1&b=2"
    request = signed(town.request(kit, "POST", path, content=BODY, Idempotency_Key="k" * 20), kit, KEYED)
    for what, (tampered, kind, status) in TAMPERED.items():
        answer = town.http.send(tampered(town, request))
        told = answer.json()
        assert (answer.status_code, told["type"]) == (status, f"urn:rakeeza:problem:{kind}"), what
        assert told["detail_ar"], what
    # What was refused used up nothing: the request as it was signed is still good.
    assert taken(town, request)["clerk"] == AMAL


def test_what_is_said_of_a_signature_cannot_be_changed(town: Town, kit: Kit) -> None:
    request = signed(town.request(kit, "POST", content=BODY), kit)
    said = request.headers["Signature-Input"]
    clerk, other = kit.clerks[AMAL].thumbprint, town.kits[OTHER]
    changed = {
        said.replace(kit.thumbprint, other.thumbprint): "signature-wrong",
        said.replace(clerk, other.clerks[AMAL].thumbprint): "clerk-key-unknown",
        said.replace('nonce="', 'nonce="0', 1): "signature-wrong",
        said.replace(";expires=1", ";expires=2", 1): "signature-insufficient",
        said.replace('"@method" "@target-uri"', '"@target-uri" "@method"', 1): "signature-wrong",
        said.replace(";alg=", ';tag="x";alg=', 1): "signature-wrong",
        said.replace("centre=", "x=", 1).replace("clerk=", "centre=", 1): "centre-key-unknown",
        said.replace("centre=", "x=")
        .replace("clerk=", "centre=")
        .replace("x=", "clerk="): "centre-key-unknown",
    }
    for value, kind in changed.items():
        assert value != said
        request.headers["Signature-Input"] = value
        refused(town, request, kind)
    request.headers["Signature-Input"] = said
    first, _, second = request.headers["Signature"].partition(", ")
    request.headers["Signature"] = f"centre={second.partition('=')[2]}, clerk={first.partition('=')[2]}"
    refused(town, request, "signature-wrong")


OLD, AHEAD = timedelta(seconds=301), timedelta(seconds=90)


MOMENTS = [
    (-LATE, timedelta(seconds=300), "signature-expired"),
    (-timedelta(seconds=30), timedelta(seconds=10), "signature-expired"),
    (AHEAD, timedelta(seconds=60), "signature-from-future"),
    (timedelta(), timedelta(seconds=301), "signature-insufficient"),
    (timedelta(), timedelta(), "signature-insufficient"),
    (timedelta(), -timedelta(seconds=60), "signature-insufficient"),
]


def test_a_signature_holds_for_a_few_minutes_only(town: Town, kit: Kit) -> None:
    for moved, holds, kind in MOMENTS:
        made = datetime.now(UTC) + moved
        says = {"created": made, "expires": made + holds}
        refused(town, signed(town.request(kit, "POST", content=BODY), kit, centre_says=says), kind)
        refused(town, signed(town.request(kit, "POST", content=BODY), kit, clerk_says=says), kind)


def test_a_signature_says_when_by_whom_and_which(town: Town, kit: Kit) -> None:
    for missing in ("created", "expires", "nonce", "keyid"):
        says = {missing: None}
        for request in (
            signed(town.request(kit, "POST", content=BODY), kit, centre_says=says),
            signed(town.request(kit, "POST", content=BODY), kit, clerk_says=says),
        ):
            refused(town, request, "signature-insufficient")


def test_a_nonce_is_long_enough_to_be_one(town: Town, kit: Kit) -> None:
    for nonce in ("", "short", "x" * 129, "with a space in it"):
        request = signed(town.request(kit, "POST", content=BODY), kit, centre_says={"nonce": nonce})
        refused(town, request, "signature-insufficient")


def test_the_clerk_of_another_centre_cannot_sign(town: Town, kit: Kit) -> None:
    request = signed(town.request(kit, "POST", content=BODY), kit, clerk=town.kits[OTHER].clerks[AMAL])
    refused(town, request, "clerk-key-unknown")


def test_a_key_that_nobody_enrolled_cannot_sign(town: Town, kit: Kit) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    request = add_signature(town.request(kit, "POST", content=BODY), "centre", kit.key, kit.thumbprint)
    refused(town, add_signature(request, "clerk", key, "0" * 64), "clerk-key-unknown")
    request = add_signature(town.request(kit, "POST", content=BODY), "centre", kit.key, "0" * 64)
    refused(town, request, "centre-key-unknown")
    upper = signed(
        town.request(kit, "POST", content=BODY), kit, centre_says={"keyid": kit.thumbprint.upper()}
    )
    refused(town, upper, "centre-key-unknown")


def test_another_centre_cannot_sign_for_this_one_nor_use_its_token(town: Town, kit: Kit) -> None:
    other = town.kits[OTHER]
    # Its own signatures, under the token of this one, which is bound to another key.
    refused(town, signed(town.request(kit, "POST", content=BODY), other), "not-authenticated", 401)
    stolen = town.request(other, "POST", content=BODY)
    add_signature(stolen, "centre", kit.key, kit.thumbprint)
    clerk = other.clerks[AMAL]
    refused(town, add_signature(stolen, "clerk", clerk.key, clerk.thumbprint), "clerk-key-unknown")


def test_a_signature_of_one_client_does_not_vouch_for_another(town: Town, kit: Kit) -> None:
    with town.desk.database.transaction() as session:
        secret = town.identity.add_client(session, "counter", ("centre",), "A counter of the municipality")
    token = town.identity.token("counter", secret).token.reveal()
    request = town.request(kit, "POST", content=BODY, Authorization=f"Bearer {token}")
    refused(town, signed(request, kit), "centre-key-revoked")


def test_an_algorithm_is_one_of_the_key_and_one_that_is_taken(town: Town, kit: Kit) -> None:
    said = signed(town.request(kit, "POST", content=BODY), kit)
    for label, place in (("centre", 0), ("clerk", 1)):
        for alg in (
            "hmac-sha256",
            "none",
            "rsa-v1_5-sha256",
            "rsa-pss-sha512",
            "ed25519",
            "ecdsa-p384-sha384",
            "",
        ):
            inputs = said.headers["Signature-Input"].split(", ")
            inputs[place] = inputs[place].replace("ecdsa-p256-sha256", alg)
            request = town.request(kit, "POST", content=BODY)
            request.headers["Signature-Input"] = ", ".join(inputs)
            request.headers["Signature"] = said.headers["Signature"]
            document = refused(town, request, "algorithm-not-taken")
            assert label in document["detail"]
    silent = signed(town.request(kit, "POST", content=BODY), kit, clerk_says={"alg": None})
    refused(town, silent, "algorithm-not-taken")


def test_labels_stand_once_and_each_has_its_signature(town: Town, kit: Kit) -> None:
    def changed(inputs: str, signatures: str) -> httpx.Request:
        request = signed(town.request(kit, "POST", content=BODY), kit)
        said, given = request.headers["Signature-Input"], request.headers["Signature"]
        centre, clerk = said.split(", ")
        by_centre, by_clerk = given.split(", ")
        words = {"centre": centre, "clerk": clerk, "by_centre": by_centre, "by_clerk": by_clerk}
        request.headers["Signature-Input"] = inputs.format_map(words)
        request.headers["Signature"] = signatures.format_map(words)
        return request

    both, by_both = "{centre}, {clerk}", "{by_centre}, {by_clerk}"
    unreadable = [
        ("{centre}, {clerk}, {centre}", by_both),
        ("{centre}, {clerk}, {clerk}", by_both),
        (both, "{by_centre}, {by_clerk}, {by_centre}"),
        (both + ",", by_both),
        ("{centre} {clerk}", by_both),
        (both, "{by_centre}, clerk=AAAA"),
        ("centre, {clerk}", by_both),
        ("(((", by_both),
        (both, "x" * 20_000),
        ("a" * 20_000, by_both),
        (", ".join(f"l{number}=()" for number in range(100)), by_both),
    ]
    for inputs, signatures in unreadable:
        refused(town, changed(inputs, signatures), "signature-unreadable")
    for signatures in ("{by_centre}", "{by_clerk}", "other=:AAAA:"):
        refused(town, changed(both, signatures), "signature-insufficient")
    # A proxy's own signature beside them is nobody's here.
    taken(town, changed("proxy=();created=1, " + both, "proxy=:AAAA:, " + by_both))


def test_a_header_that_decides_stands_once(town: Town, kit: Kit) -> None:
    sent = {"Idempotency_Key": "k" * 20, "If_Match": '"3"', "Centre_Device": "d"}
    names = (*KEYED, "if-match", "centre-device")
    for name in ("Authorization", "Content-Digest", "Idempotency-Key", "If-Match", "Centre-Device"):
        request = town.request(kit, "POST", content=BODY, **sent)
        lines = [*request.headers.multi_items(), (name, request.headers[name])]
        twice = town.http.build_request("POST", str(request.url), headers=lines, content=BODY)
        refused(town, signed(twice, kit, names), "signature-unreadable")


def test_a_digest_that_says_nothing_is_refused(town: Town, kit: Kit) -> None:
    for digest in ("md5=:AAAA:", "", "sha-256", "x" * 20_000):
        request = town.request(kit, "POST", content=BODY, Content_Digest=digest)
        refused(town, signed(request, kit), "signature-unreadable")
