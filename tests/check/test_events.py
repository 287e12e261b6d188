"""docs/operations.md lists the events that the programs log: those, and no others.

Usage: test_events.py
"""

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# A call that writes a line, up to its end; the event is the first literal in it, or each of the two
# of a condition. A call that is handed the name is one of those that are found, too.
CALL = re.compile(r"\b(?:log_event|log_write|complain|tell_attempt|end)\(([^;]*);", re.DOTALL)
EVENT = re.compile(r'(?:^|[,?:(]\s*)"([a-z]+(?:_[a-z]+)*)"(?=\s*[,:)])')
ROW = re.compile(r"^\| (`[^|]*`) \|", re.MULTILINE)


def logged(part):
    """The events in the code of this part."""
    events = set()
    for path in sorted((ROOT / part).rglob("*.c")):
        for call in CALL.findall(path.read_text(encoding="utf-8")):
            event = re.split(r"\bF_(?:STR|INT|NUM|SLICE)\(", call)[0]
            events.update(EVENT.findall(event))
    return events


def documented(text):
    return {name for row in ROW.findall(text) for name in re.findall(r"`(\w+)`", row)}


class Events(unittest.TestCase):
    maxDiff = None

    def test_every_event_is_documented_and_every_documented_event_is_logged(self):
        text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
        logs = text[text.index("\n## Logs\n") :]
        broker, worker = logs.split("\nThe worker's own lines:\n")
        worker = worker.partition("\n## ")[0]
        for part, told in (("broker", broker), ("worker", worker)):
            with self.subTest(part):
                events = logged(part) | logged("common")
                self.assertGreater(len(events), 10)
                self.assertEqual(sorted(events), sorted(documented(told)))


unittest.main()
