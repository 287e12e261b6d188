"""What the tests of REEVE/1 share: a peer written from docs/protocol.md at a running broker.

Error codes go by the names of chapter 7, which reeve_peer has as numbers.
"""

import json

import mdp_harness
import reeve_peer as wire
from reeve_peer import ReevePeer

SCHEDULED, QUEUED, PROCESSING, SUCCESS, FAILED, CANCELLED, EXPIRED = range(1, 8)
SUCCEED, FAIL, REJECT, RELEASE = 1, 2, 3, 4
CAUSE_CANCELLED, CAUSE_STALE, CAUSE_TIMEOUT = 1, 2, 3
EMPTY = '{"args":[],"kwargs":{}}'
TEN_YEARS_MS = 3660 * 86400 * 1000
TOKEN = rb"^[0-9a-f]{1,16}\.[0-9a-f]{1,8}\.[0-9a-f]{16}$"


def task(ident, queue="q", **more):
    return {"id": ident, "queue": queue, "task_name": "t", "body": EMPTY, **more}


def answers(peer, count):
    """What each of `count` submissions or settlements was answered: {corr: code, 0 for a confirm}."""
    got = {}
    while len(got) < count:
        name, fields = peer.expect("CONFIRM", "SETTLED", "ERROR")
        if name == "ERROR":
            got[fields["corr"]] = fields["code"]
        for span in fields.get("range", []):
            got.update((span["first"] + i, wire.OK) for i in range(span["count"]))
    return got


def forged(token, part=-1):
    """The token with one digit changed, at the end of this part: seq, attempt or MAC."""
    parts = token.split(b".")
    parts[part] = parts[part][:-1] + (b"1" if parts[part][-1:] != b"1" else b"2")
    return b".".join(parts)


class WireTest(mdp_harness.SystemTest):
    def peer(self, broker, hello=True):
        peer = ReevePeer(broker.tcp)
        self.addCleanup(peer.kill)
        if hello:
            peer.hello()
        return peer

    def worker(self, broker, *queues, name="w", prefetch=1, held=()):
        peer = self.peer(broker)
        peer.ready(name, *(queues or ("q",)), prefetch=prefetch, held=held)
        return peer

    def state(self, peer, ident):
        peer.send("QUERY", corr=4000, what=1, id=ident)
        return json.loads(peer.expect("DOCUMENT")["json"])["state"]

    def in_step(self, peer):
        """What comes first must be the answer to this, so nothing had come."""
        peer.send("QUERY", corr=4001, what=2)
        self.assertEqual(peer.expect("DOCUMENT")["corr"], 4001)

    def revoked(self, peer):
        (revoked,) = peer.expect("REVOKE")["revoked"]
        return revoked.get("token", b""), revoked["cause"]
