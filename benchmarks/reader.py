"""A script that reads the API evenly, in a process of its own: `python -m benchmarks.reader URL RATE SECONDS`.

Its credential comes by stdin. It prints, as JSON, how many ms each answer took, from the moment the request was due: a
server that falls behind shows it, however few are under way at once.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from typing import Final
from urllib.parse import urlsplit

PATHS: Final = ("/api/dht22_db/?device=device-00001", "/api/show_dht22_db/?limit=100", "/api/devices/device-00002/")
_CONNECTIONS: Final = 8


def main() -> None:
    """Read for so many seconds, then print."""
    url, rate, seconds = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    credential = sys.stdin.readline().strip()
    headers = {"Authorization": f"Bearer {credential}"} if credential else {}
    took: list[float] = []
    failed: list[str] = []
    began = time.monotonic() + 0.2
    threads = [
        threading.Thread(target=_read, args=(url, headers, began + number / rate, rate, seconds, took, failed))
        for number in range(_CONNECTIONS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"took_ms": took, "failed": failed[:3]}))


def _read(
    url: str, headers: dict[str, str], due: float, rate: float, seconds: float, took: list[float], failed: list[str]
) -> None:
    address = urlsplit(url)
    server = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
    end, number = due + seconds, 0
    while due < end:
        time.sleep(max(0.0, due - time.monotonic()))
        server.request("GET", PATHS[number % len(PATHS)], headers=headers)
        answer = server.getresponse()
        answer.read()
        took.append((time.monotonic() - due) * 1000)
        if answer.status != 200:
            failed.append(f"{PATHS[number % len(PATHS)]} answered {answer.status}")
        due += _CONNECTIONS / rate
        number += 1
    server.close()


if __name__ == "__main__":
    main()
