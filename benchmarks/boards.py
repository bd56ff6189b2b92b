"""Boards without MQTT, in a process of their own: `python -m benchmarks.boards URL RATE SECONDS`.

Each has a connection that it keeps and a token, one a line of stdin. It posts a reading when that is due, and what was
not stored (503) again. Printed as JSON: how many ms each took until it was stored, from the moment it was due.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from urllib.parse import urlsplit


def main() -> None:
    """Report for so many seconds, then print."""
    url, rate, seconds = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    tokens = sys.stdin.read().split()
    took: list[float] = []
    failed: list[str] = []
    began, each = time.monotonic() + 0.2, len(tokens) / rate
    threads = [
        threading.Thread(target=_report, args=(url, token, began + number / rate, each, seconds, took, failed))
        for number, token in enumerate(tokens)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"took_ms": took, "failed": failed[:3]}))


def _report(
    url: str, token: str, due: float, each: float, seconds: float, took: list[float], failed: list[str]
) -> None:
    address = urlsplit(url)
    server = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
    headers = {"Authorization": f"Bearer {token}"}
    end, seq = due + seconds, 0
    while due < end:
        time.sleep(max(0.0, due - time.monotonic()))
        values = f'"temperature":{20 + seq % 100 / 10},"humidity":{40 + seq % 300 / 10}'
        body = f'{{"ts":{round(time.time() * 1000)},"boot":"b","seq":{seq},{values}}}'
        status = 503
        while status == 503:
            server.request("POST", "/api/dht22_db/", body=body, headers=headers)
            answer = server.getresponse()
            answer.read()
            status = answer.status
        took.append((time.monotonic() - due) * 1000)
        if status != 202:
            failed.append(f"a reading was answered with {status}")
        due += each
        seq += 1
    server.close()


if __name__ == "__main__":
    main()
