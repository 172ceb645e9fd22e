"""Signed writes of private centres: who is asked for signatures, and what is taken."""

import base64
import hashlib
import ssl
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from foundation.http import TOKEN_PATH
from foundation.tls import Contexts
from foundation.wire.content_digest import content_digest
from foundation.wire.http_signature import PSS, RSA
from integrations.centres import certificates, proof_refusals
from integrations.centres.proof import still_holds
from tests.foundation.http_face import refusal
from tests.integrations import centre_keys
from tests.integrations.desk import ADMINISTRATOR
from tests.integrations.signed_town import (
    AMAL,
    CODE,
    KEYED,
    MAX_FILE,
    OTHER,
    PROBE,
    READ,
    WRITE,
    Kit,
    Town,
    add_signature,
    refused,
    signed,
    taken,
)

pytest_plugins = ["tests.integrations.signed_fixtures"]

BODY = b'{"name": "\xd9\x85\xd8\xae\xd8\xa8\xd8\xb2"}'


def test_a_signed_write_brings_its_clerk_and_a_proof_that_holds_without_the_request(
    town: Town, kit: Kit
) -> None:
    answer = taken(town, signed(town.request(kit, "POST", content=BODY), kit))
    proof = answer["proof"]
    assert (answer["clerk"], proof["clerk"], proof["centre"], proof["face"]) == (AMAL, AMAL, CODE, "rest")
    assert proof["centre_key"] == kit.thumbprint
    assert proof["clerk_key"] == kit.clerks[AMAL].thumbprint
    assert base64.b64decode(proof["message"]) == hashlib.sha256(BODY).digest()
    assert datetime.fromisoformat(proof["created"]).tzinfo is not None
    assert "device" not in proof
    keys = {"centre": kit.key.public_key(), "clerk": kit.clerks[AMAL].key.public_key()}
    for label, key in keys.items():
        kept = [base64.b64decode(proof[f"{label}_{part}"]) for part in ("signature", "digest")]
        assert still_holds(kept[0], kept[1], proof[f"{label}_alg"], key)
        assert not still_holds(kept[0], hashlib.sha256(b"").digest(), proof[f"{label}_alg"], key)
        assert not still_holds(kept[0], kept[1], proof[f"{label}_alg"], town.kits[OTHER].key.public_key())
        assert not still_holds(kept[0], kept[1], RSA, key)


@pytest.mark.parametrize(("size", "alg"), [(2048, RSA), (3072, PSS)])
def test_a_centre_may_have_a_key_of_rsa(town: Town, size: int, alg: str) -> None:
    kit = town.add_centre("centre-9", rsa.generate_private_key(65537, size))
    proof = taken(town, signed(town.request(kit, "POST", content=BODY), kit, centre_says={"alg": alg}))[
        "proof"
    ]
    assert proof["centre_alg"] == alg
    signature, digest = (base64.b64decode(proof[f"centre_{part}"]) for part in ("signature", "digest"))
    assert still_holds(signature, digest, alg, kit.key.public_key())
    assert not still_holds(signature, digest, {RSA: PSS, PSS: RSA}[alg], kit.key.public_key())


@pytest.mark.parametrize(
    ("method", "content"), [("POST", BODY), ("PUT", b"\0" * 50_000), ("PUT", b""), ("DELETE", b"")]
)
def test_every_kind_of_write_is_signed_whole(town: Town, kit: Kit, method: str, content: bytes) -> None:
    assert taken(town, signed(town.request(kit, method, content=content), kit))["clerk"] == AMAL
    refused(town, town.request(kit, method, content=content), "not-authenticated", 401)
    changed = town.request(kit, method, content=content, Content_Digest=content_digest(content + b" "))
    refused(town, signed(changed, kit), "wrong-digest", 422)


def test_a_device_and_the_headers_that_decide_are_covered_where_they_are_sent(town: Town, kit: Kit) -> None:
    sent = {"Idempotency_Key": "k" * 20, "If_Match": '"3"', "Centre_Device": "counter-1"}
    names = (*KEYED, "if-match", "centre-device")
    request = town.request(kit, "POST", content=BODY, **sent)
    assert taken(town, signed(request, kit, names))["proof"]["device"] == "counter-1"
    for name in names:
        left = [each for each in names if each != name]
        document = refused(
            town, signed(town.request(kit, "POST", content=BODY, **sent), kit, left), "signature-insufficient"
        )
        assert name in document["detail"]


def test_more_than_has_to_be_may_be_covered(town: Town, kit: Kit) -> None:
    names = (*WRITE, "@authority", "@path", "@query", "content-type", "host", "content-length")
    assert taken(town, signed(town.request(kit, "POST", content=BODY), kit, names))["clerk"] == AMAL


def test_a_read_needs_the_centres_signature_alone_and_may_be_repeated(town: Town, kit: Kit) -> None:
    request = add_signature(town.request(kit, "GET"), "centre", kit.key, kit.thumbprint, READ)
    for _ in range(2):
        assert taken(town, request) == {"name": CODE, "clerk": None, "proof": None}
    refused(town, town.request(kit, "GET"), "not-authenticated", 401)


def test_a_write_without_the_clerks_signature_is_refused(town: Town, kit: Kit) -> None:
    request = town.request(kit, "POST", content=BODY)
    refused(town, add_signature(request, "centre", kit.key, kit.thumbprint), "proof-missing")


def test_a_write_without_the_centres_signature_is_refused(town: Town, kit: Kit) -> None:
    clerk, request = kit.clerks[AMAL], town.request(kit, "POST", content=BODY)
    refused(town, add_signature(request, "clerk", clerk.key, clerk.thumbprint), "not-authenticated", 401)


def test_a_centre_that_came_with_its_certificate_signs_its_writes_all_the_same(
    town: Town, kit: Kit, tmp_path: Path
) -> None:
    known = centre_keys.files(tmp_path, kit.key, x509.load_pem_x509_certificate(kit.certificate))
    trusted = tmp_path / "authority.pem"
    trusted.write_text(town.authority.certificate_pem())
    context = ssl.create_default_context(cafile=trusted)
    context.load_cert_chain(known.certificate, known.key)
    contexts = Contexts(lambda: centre_keys.material(town.authority))
    with centre_keys.served_over_tls(town.app, contexts) as port, httpx.Client(verify=context) as http:
        url = f"https://127.0.0.1:{port}"
        form = {"grant_type": "client_credentials", "client_id": CODE}
        town.tokens[CODE] = http.post(url + TOKEN_PATH, data=form).json()["access_token"]
        assert http.send(town.request(kit, "GET", base=url)).json()["name"] == CODE
        unsigned = http.send(town.request(kit, "POST", content=BODY, base=url))
        assert refusal(unsigned, 403, "proof-missing")["detail_ar"]
        done = http.send(signed(town.request(kit, "POST", content=BODY, base=url), kit))
        assert done.json()["clerk"] == AMAL
        # The same request by another address is another request.
        elsewhere = signed(town.request(kit, "POST", content=BODY), kit)
        moved = http.build_request("POST", url + PROBE, headers=elsewhere.headers, content=BODY)
        assert refusal(http.send(moved), 403, "signature-wrong")


def test_a_request_is_taken_once(town: Town, kit: Kit) -> None:
    request = signed(town.request(kit, "POST", content=BODY), kit)
    taken(town, request)
    refused(town, request, "signature-reused")


def test_of_the_same_request_sent_many_times_at_once_one_is_taken(town: Town, kit: Kit) -> None:
    request = signed(town.request(kit, "POST", content=BODY), kit)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: town.http.send(request), range(16)))
    assert sorted(answer.status_code for answer in answers) == [200] + [403] * 15
    kinds = {answer.json()["type"] for answer in answers if answer.status_code == 403}
    assert kinds == {"urn:rakeeza:problem:signature-reused"}


@pytest.mark.parametrize("label", ["centre", "clerk"])
def test_either_nonce_is_good_for_one_request_of_one_centre(town: Town, label: str) -> None:
    says = {f"{label}_says": {"nonce": "n" * 20}}
    for centre, kind in ((CODE, ""), (CODE, "signature-reused"), (OTHER, "")):
        by = town.kits[centre]
        request = signed(town.request(by, "POST", content=BODY), by, **says)  # type: ignore[arg-type] # by name
        if kind:
            refused(town, request, kind)
        else:
            taken(town, request)


def test_a_key_of_the_clerk_that_was_revoked_signs_no_more(town: Town, kit: Kit) -> None:
    clerk = kit.clerks[AMAL]
    taken(town, signed(town.request(kit, "POST", content=BODY), kit))
    town.desk.licensing.centres.revoke_key(ADMINISTRATOR, CODE, AMAL, clerk.thumbprint)
    refused(town, signed(town.request(kit, "POST", content=BODY), kit), "clerk-key-revoked")


def test_a_certificate_that_was_revoked_signs_no_more(town: Town, kit: Kit) -> None:
    taken(town, signed(town.request(kit, "POST", content=BODY), kit))
    with town.desk.database.transaction() as session:
        certificates.revoke(session, kit.serial, "key_compromise", datetime.now(UTC))
    refused(town, signed(town.request(kit, "POST", content=BODY), kit), "centre-key-revoked")


def test_a_body_that_is_too_large_is_refused_as_ever(town: Town, kit: Kit) -> None:
    request = town.request(kit, "PUT", content=b"\0" * (MAX_FILE + 1))
    assert refusal(town.http.send(signed(request, kit)), 413, "too-large")


def test_others_are_passed_by(town: Town) -> None:
    with town.desk.database.transaction() as session:
        secret = town.identity.add_client(session, "counter", ("centre",), "A counter of the municipality")
        teller = town.identity.add_client(session, "bank", ("payment",), "A bank")
    for client, known in (("counter", secret), ("bank", teller)):
        token = town.identity.token(client, known).token.reveal()
        headers = {"Authorization": f"Bearer {token}"}
        answer = town.http.post(town.url + PROBE, json={}, headers=headers)
        assert answer.json() == {"body": {}, "clerk": None, "proof": None}
        # Whatever else stands in the header, as a proxy may put it there.
        foreign = {**headers, "Signature-Input": 'proxy=("@method");created=1', "Signature": "proxy=:AAAA:"}
        answer = town.http.post(town.url + PROBE, json={}, headers=foreign)
        assert answer.json() == {"body": {}, "clerk": None, "proof": None}


def test_a_counter_of_the_municipality_may_sign_by_a_certificate_of_its_own(town: Town) -> None:
    with town.desk.database.transaction() as session:
        town.identity.add_client(session, "counter", ("centre",), "A counter of the municipality")
    kit = town.certify("counter", ec.generate_private_key(ec.SECP256R1()))
    token = httpx.Request("GET", town.url)
    answer = town.http.send(next(town.auth(kit, None).auth_flow(token)))
    town.tokens["counter"] = answer.json()["access_token"]
    request = add_signature(town.request(kit, "POST", content=BODY), "centre", kit.key, kit.thumbprint)
    assert taken(town, request)["proof"] is None


def test_the_refusals_are_drawn_in_their_tree_and_have_names_of_their_own() -> None:
    kinds = [
        kind
        for kind in vars(proof_refusals).values()
        if isinstance(kind, type) and kind.__module__ == proof_refusals.__name__
    ]
    drawn = (proof_refusals.__doc__ or "").partition("::\n\n")[2]
    assert kinds
    for kind in kinds:
        assert kind.__name__ in drawn
        assert all(kind.titles)  # type: ignore[attr-defined] # each has
    assert len({kind.titles for kind in kinds}) == len(kinds)  # type: ignore[attr-defined] # each has
