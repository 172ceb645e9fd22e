"""The users that net-snmp's agent keeps: `compare` says if there is just the wanted one, `write` makes it so.

Reads {"user", "auth", "privacy"} from standard input, and prints no secret. `write` is for a stopped agent.
The agent keeps no passwords but keys that it derived from them for its own engine; the same is derived here.

Source: RFC 3414, A.2 (password to key, localised key); RFC 7860 (SHA-256); RFC 3826 (AES); snmpd.conf(5).
"""

import hashlib
import json
import os
import re
import sys
from pathlib import Path

KEPT = Path("/var/lib/snmp/snmpd.conf")
_SHA256, _AES = ".1.3.6.1.6.3.10.1.1.5", ".1.3.6.1.6.3.10.1.2.4"
_MEGABYTE = 1048576


def master_key(password: str) -> bytes:
    """The key of a password, for no engine yet: the digest of a megabyte of its repetition."""
    word = password.encode()
    return hashlib.sha256((word * (_MEGABYTE // len(word) + 1))[:_MEGABYTE]).digest()


def localised(key: bytes, engine: bytes) -> bytes:
    """The key as one engine has it."""
    return hashlib.sha256(key + engine + key).digest()


def kept_user(line: str) -> tuple[str, ...]:
    """Name, protocols and keys of a `usmUser` line; a short one is a user we do not know."""
    words = line.split()
    if len(words) < 11:
        return ()
    name = words[4].strip('"')
    if name.startswith("0x"):
        name = bytes.fromhex(name[2:]).rstrip(b"\0").decode(errors="replace")
    return (words[3], name, words[7], words[8], words[9], words[10])


def main() -> None:
    """`snmp_user.py compare|write`."""
    wanted = json.load(sys.stdin)
    auth, privacy = master_key(wanted["auth"]), master_key(wanted["privacy"])
    lines = KEPT.read_text(encoding="utf-8", errors="replace").splitlines() if KEPT.exists() else []
    users = [line for line in lines if line.startswith("usmUser ")]
    orders = [line for line in lines if line.startswith("createUser ")]
    if sys.argv[1] == "compare":
        found = re.search(r"^oldEngineID 0x([0-9a-fA-F]+)$", "\n".join(lines), re.MULTILINE)
        engine = bytes.fromhex(found[1]) if found else b""
        expected = (
            "0x" + engine.hex(),
            wanted["user"],
            _SHA256,
            "0x" + localised(auth, engine).hex(),
            _AES,
            # AES takes sixteen bytes of it.
            "0x" + localised(privacy, engine)[:16].hex(),
        )
        same = not orders and [kept_user(line) for line in users] == [expected]
        print("same" if same else "different")
        return
    kept = [line for line in lines if line not in users and line not in orders]
    order = f"createUser {wanted['user']} SHA-256 -m 0x{auth.hex()} AES -m 0x{privacy.hex()}"
    new = KEPT.with_suffix(".new")
    new.touch(mode=0o600)
    owner = (KEPT if KEPT.exists() else KEPT.parent).stat()
    os.chown(new, owner.st_uid, owner.st_gid)
    new.write_text("\n".join([*kept, order]) + "\n", encoding="utf-8")
    new.replace(KEPT)


if __name__ == "__main__":
    main()
