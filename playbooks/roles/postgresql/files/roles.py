"""Makes roles and a database as they should be, and prints what it changed (or would change).

The order comes on standard input, as JSON, because it holds passwords. Runs as the user postgres. A password goes
to the server as its SCRAM verifier, so that no log of the server can hold it.
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
FLAGS = {True: "LOGIN REPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS",
         False: "LOGIN NOREPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS"}

order = json.load(sys.stdin)


def main():
    for role in order["roles"]:
        make_role(role["name"], role["password"], role["replication"])
    make_database(order["database"], order["owner"])


def make_role(name, password, replication):
    rows = query(
        "SELECT coalesce(rolpassword, ''), rolcanlogin AND rolreplication = %s AND NOT rolsuper"
        " AND NOT rolcreatedb AND NOT rolcreaterole AND NOT rolbypassrls"
        " FROM pg_authid WHERE rolname = '%s'" % (str(replication).lower(), name)
    )
    if not rows:
        change("role %s" % name, 'CREATE ROLE "%s" %s PASSWORD \'%s\'' % (name, FLAGS[replication], verifier(password)))
        return
    kept, right = rows[0].split("|")
    if right != "t":
        change("rights of role %s" % name, 'ALTER ROLE "%s" %s' % (name, FLAGS[replication]))
    if not fits(kept, password):
        change("password of role %s" % name, 'ALTER ROLE "%s" PASSWORD \'%s\'' % (name, verifier(password)))


def make_database(name, owner):
    rows = query(
        "SELECT pg_get_userbyid(datdba), EXISTS (SELECT FROM aclexplode(coalesce(datacl, acldefault('d', datdba)))"
        " WHERE grantee = 0) FROM pg_database WHERE datname = '%s'" % name
    )
    if not rows:
        create = 'CREATE DATABASE "%s" OWNER "%s" TEMPLATE template0 ENCODING \'UTF8\' LOCALE \'C.UTF-8\''
        change("database %s" % name, create % (name, owner))
    elif rows[0].split("|")[0] != owner:
        change("owner of database %s" % name, 'ALTER DATABASE "%s" OWNER TO "%s"' % (name, owner))
    # Every role may connect to a new database, the backup's too.
    if not rows or rows[0].split("|")[1] == "t":
        change("rights on database %s" % name, 'REVOKE ALL ON DATABASE "%s" FROM PUBLIC' % name)


def verifier(password, salt=None, rounds=ROUNDS):
    # RFC 5802 and RFC 7677, in the form that pg_authid keeps.
    salt = salt or os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)
    client, server = (hmac.digest(salted, word, "sha256") for word in (b"Client Key", b"Server Key"))
    stored = hashlib.sha256(client).digest()
    salt64, stored64, server64 = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return "SCRAM-SHA-256$%d:%s$%s:%s" % (rounds, salt64, stored64, server64)


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
        input=statement, text=True, capture_output=True,
    )
    if done.returncode != 0:
        sys.exit(re.sub(r"SCRAM-SHA-256\$\S+", "<verifier>", done.stderr.strip()))
    return done.stdout.splitlines()


main()
