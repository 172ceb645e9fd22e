"""Floods: FILE PORT SECONDS CONNECTIONS. Sends signed requests as fast as they are answered; prints how.

A refused request is sent again: its nonce was not taken.
"""

import json
import sys
import threading
import time
from collections import Counter, deque
from pathlib import Path

from benchmarks._http_load import Connection, together


def main() -> None:
    """Flood, and print how often each status was answered."""
    port, seconds, connections = int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    left: deque[bytes] = deque(_prepared(Path(sys.argv[1])))
    told: Counter[str] = Counter()
    lock = threading.Lock()
    limit = time.monotonic() + seconds

    def work(_number: int) -> None:
        connection = Connection(port)
        while time.monotonic() < limit and left:
            octets = left.popleft()
            status, answer = connection.ask(octets)
            busy = status == 503 or (status == 500 and b"too-many-at-once" in answer)
            if busy:
                left.append(octets)
            with lock:
                told["refused as too many" if busy else str(status)] += 1
        connection.close()

    together(connections, work)
    print(json.dumps(told))


def _prepared(path: Path) -> list[bytes]:
    octets, found, at = path.read_bytes(), [], 0
    while at < len(octets):
        end = at + 4 + int.from_bytes(octets[at : at + 4], "big")
        found.append(octets[at + 4 : end])
        at = end
    return found


if __name__ == "__main__":
    main()
