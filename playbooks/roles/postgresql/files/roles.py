"""Makes roles and a database as they should be, and prints what it changed (or would change).

The order comes on standard input, as JSON, because it holds passwords. Runs as the user postgres. A password
goes to the server as its SCRAM verifier, so that no log of the server can hold it.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import subprocess
import sys

ROUNDS = 4096
FLAGS = {
    True: "LOGIN REPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS",
    False: "LOGIN NOREPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS",
}

order = json.load(sys.stdin)


def main():
    for role in order["roles"]:
        make_role(role["name"], role["password"], role["replication"])
    make_database(order["database"], order["owner"])


def make_role(name, password, replication):
    rows = query(
        f"SELECT coalesce(rolpassword, ''), rolcanlogin AND rolreplication = {str(replication).lower()}"
        " AND NOT (rolsuper OR rolcreatedb OR rolcreaterole OR rolbypassrls)"
        f" FROM pg_authid WHERE rolname = '{name}'"
    )
    if not rows:
        change(f"role {name}", f"CREATE ROLE \"{name}\" {FLAGS[replication]} PASSWORD '{verifier(password)}'")
        return
    kept, right = rows[0].split("|")
    if right != "t":
        change(f"rights of role {name}", f'ALTER ROLE "{name}" {FLAGS[replication]}')
    if not fits(kept, password):
        change(f"password of role {name}", f"ALTER ROLE \"{name}\" PASSWORD '{verifier(password)}'")


def make_database(name, owner):
    rows = query(
        "SELECT pg_get_userbyid(datdba), EXISTS (SELECT FROM"
        " aclexplode(coalesce(datacl, acldefault('d', datdba))) WHERE grantee = 0)"
        f" FROM pg_database WHERE datname = '{name}'"
    )
    if not rows:
        form = "TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'"
        change(f"database {name}", f'CREATE DATABASE "{name}" OWNER "{owner}" {form}')
    elif rows[0].split("|")[0] != owner:
        change(f"owner of database {name}", f'ALTER DATABASE "{name}" OWNER TO "{owner}"')
    # Every role may connect to a new database, the backup's too.
    if not rows or rows[0].split("|")[1] == "t":
        change(f"rights on database {name}", f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')


def verifier(password, salt=None, rounds=ROUNDS):
    # RFC 5802 and RFC 7677, in the form that pg_authid keeps.
    salt = salt or os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)
    client, server = (hmac.digest(salted, word, "sha256") for word in (b"Client Key", b"Server Key"))
    stored = hashlib.sha256(client).digest()
    salt64, stored64, server64 = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${rounds}:{salt64}${stored64}:{server64}"


def fits(kept, password):
    match = re.fullmatch(r"SCRAM-SHA-256\$(\d+):([^$]+)\$.+", kept)
    if match is None:
        return False
    made = verifier(password, base64.b64decode(match[2]), int(match[1]))
    return hmac.compare_digest(made, kept)


def change(what, statement):
    if order["apply"]:
        query(statement)
    print(what)


def query(statement):
    done = subprocess.run(
        ["psql", "--cluster", order["cluster"], "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", "postgres"],
        input=statement,
        text=True,
        capture_output=True,
    )
    if done.returncode != 0:
        sys.exit(re.sub(r"SCRAM-SHA-256\$\S+", "<verifier>", done.stderr.strip()))
    return done.stdout.splitlines()


main()
