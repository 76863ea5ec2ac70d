"""Stands in for inspect-ai's worker and misbehaves as its first argument says; speaks the same lines of JSON.

Started as ``python eval_worker.py MODE LOG_VERSION -I -X utf8 WORKER SOCKET``.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path

mode, place = sys.argv[1], sys.argv[-1]
line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
line.connect(place)
file = line.makefile("rwb")
task = json.loads(file.readline())["task"]
number = 0


def ask(**message: object) -> dict:
    global number
    number += 1
    file.write(json.dumps({"number": number, **message}).encode() + b"\n")
    file.flush()
    return json.loads(file.readline())


def log(samples: list[dict], cut: int | None = None, status: str = "success") -> None:
    folder = Path(task["log_dir"])
    folder.mkdir(parents=True)
    (folder / "log.json").write_bytes(json.dumps({"status": status, "samples": samples}).encode()[:cut])


def end(version: str = "0.3.285") -> None:
    file.write(json.dumps({"ended": "success", "log": "", "version": version}).encode() + b"\n")
    file.flush()


if mode == "environment":
    print(sorted(os.environ), file=sys.stderr)
    sys.exit(1)
if mode == "silent":
    sys.exit(0)
if mode == "garbage":
    file.write(b"this is no JSON\n")
    file.flush()
    signal.pause()
if mode == "unknown":
    print(ask(ask="no-such-case")["error"], file=sys.stderr)
    print(ask(score="py-page-window", text="[]")["error"], file=sys.stderr)
    sys.exit(1)

samples = []
for index, case in enumerate(task["cases"]):
    if mode == "crash" and index == 20:
        print("Segmentation something", file=sys.stderr)
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "hang" and index == 20:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            signal.pause()
    answer = ask(ask=case["id"])
    if mode == "twice":
        assert "error" in ask(ask=case["id"])
    if "error" in answer:
        samples.append({"id": case["id"], "scores": None})
        continue
    said = ask(score=case["id"], text=answer["text"])["score"]
    samples.append({"id": case["id"], "scores": {"maestro_score": {"value": "C" if said["passed"] else "I"}}})
if mode == "lie":
    samples[0]["scores"]["maestro_score"]["value"] = (
        "C" if samples[0]["scores"]["maestro_score"]["value"] == "I" else "I"
    )
if mode == "short":
    samples.pop()
log(samples, cut=500 if mode == "truncated" else None, status="error" if mode == "failed" else "success")
end("0.4.0" if mode == "newer" else "0.3.285")
