"""REEVE/1 written from docs/protocol.md and docs/reeve.proto, for tests; no code of Reeve's.

    with ReevePeer(endpoint) as peer:
        peer.send("SUBMIT", first=1, task=[{"id": "a", "queue": "q", "task_name": "t", "body": "{}"}])
        name, fields = peer.expect("CONFIRM")

Numbers are ints, strings come back as bytes, a nested message is a dict and always in a list.
"""

import collections

import mdp

MAGIC = b"REEVE1"

TASK = dict(id=1, queue=2, task_name=3, body_kind=4, body=5, origin=6, created_at_ms=7, priority=8)
TASK |= dict(delay_ms=9, run_at_ms=10, timeout_ms=11, expires_at_ms=12, max_retries=13)
TASK |= dict(backoff_ms=14, wait=15)
RANGE = dict(first=1, count=2, duplicate=3)
HELD = dict(token=1, running_ms=2, timeout_ms=3)
REVOKED = dict(token=1, cause=2)
SETTLEMENT = dict(token=1, verdict=2, result_kind=3, result=4, reason=5, error=6, traceback=7)
SETTLEMENT |= dict(duration_ms=8)
DELIVERY = dict(token=1, task=(2, TASK), attempt=3, retry_count=4)
BY_ID = dict(corr=1, id=2)
WELCOME = dict(broker_id=1, epoch=2, heartbeat_ms=3, liveness_ms=4, max_message_bytes=5)
WELCOME |= dict(max_batch=6, version=7)
OUTCOME = dict(corr=1, id=2, state=3, attempts=4, result_kind=5, result=6, reason=7, error=8)
OUTCOME |= dict(traceback=9, duration_ms=10, partial=11)

COMMANDS = {
    "HELLO": (0x01, dict(name=1, version=2)),
    "WELCOME": (0x02, WELCOME),
    "ERROR": (0x03, dict(corr=1, code=2, text=3, retry_after_ms=4)),
    "HEARTBEAT": (0x04, dict(held=(1, HELD))),
    "GOODBYE": (0x05, dict(text=1)),
    "SUBMIT": (0x10, dict(first=1, task=(2, TASK))),
    "CONFIRM": (0x11, dict(durability=1, range=(2, RANGE))),
    "WAIT": (0x20, BY_ID),
    "OUTCOME": (0x21, OUTCOME),
    "CANCEL": (0x22, BY_ID),
    "DONE": (0x23, dict(corr=1, count=2, state=3)),
    "QUERY": (0x24, dict(corr=1, what=2, id=3, queue=4, after=5, limit=6)),
    "DOCUMENT": (0x25, dict(corr=1, json=2, next=3)),
    "REDRIVE": (0x26, dict(corr=1, id=2, queue=3)),
    "PURGE": (0x27, dict(corr=1, id=2, queue=3)),
    "READY": (0x40, dict(name=1, queue=2, prefetch=3, held=(4, HELD), instance=5)),
    "DELIVER": (0x41, dict(delivery=(1, DELIVERY))),
    "SETTLE": (0x42, dict(first=1, settlement=(2, SETTLEMENT))),
    "SETTLED": (0x43, dict(range=(1, RANGE))),
    "REVOKE": (0x44, dict(revoked=(1, REVOKED))),
    "PREFETCH": (0x45, dict(prefetch=1)),
    "EXTEND": (0x46, dict(token=1, timeout_ms=2)),
    "PROGRESS": (0x47, dict(token=1, kind=2, data=3)),
}
NAMES = {code: name for name, (code, _) in COMMANDS.items()}

OK, MALFORMED, UNSUPPORTED, TOO_LARGE, BAD_ID, BAD_QUEUE, BAD_NAME, BAD_VALUE, BAD_JSON = range(9)
CONFLICT, QUEUE_FULL, TOO_MANY, UNKNOWN_TASK, STALE_ATTEMPT, WRONG_STATE, NOT_READY = range(9, 16)

SUCCESS = 4
FAILED = 5


def varint(value):
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = mdp.to_bytes(value)
    return varint(number << 3 | 2) + varint(len(data)) + data


def body(schema, values):
    out = b""
    for name, value in values.items():
        number, nested = schema[name] if isinstance(schema[name], tuple) else (schema[name], None)
        for item in value if isinstance(value, list) else [value]:
            out += field(number, body(nested, item) if isinstance(item, dict) else item)
    return out


def encode(command, **values):
    code, schema = COMMANDS[command]
    return MAGIC + bytes([code]) + body(schema, values)


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def read_body(schema, data):
    numbers = {v[0] if isinstance(v, tuple) else v: k for k, v in schema.items()}
    out = {}
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        value, at = read_varint(data, at)
        name = numbers[tag >> 3]
        nested = schema[name][1] if isinstance(schema[name], tuple) else None
        if tag & 7 == 2:
            value, at = data[at : at + value], at + value
        if nested:
            out.setdefault(name, []).append(read_body(nested, value))
        else:
            out[name] = value
    return out


def decode(frame):
    """(command name, fields); what is not of the protocol raises."""
    mdp.check(frame[:6] == MAGIC and frame[6] in NAMES, "not a message of REEVE1", frame)
    name = NAMES[frame[6]]
    return name, read_body(COMMANDS[name][1], frame[7:])


def frames_of(*frames):
    """A body or result of kind "frames"."""
    return b"".join(varint(len(f)) + f for f in map(mdp.to_bytes, frames))


class ReevePeer(mdp.Peer):
    """A DEALER that speaks REEVE1; client, worker or both."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.kept = collections.deque()  # DELIVERs that came before a SETTLED

    def send(self, command, **fields):
        self.send_raw(encode(command, **fields))

    def recv(self, timeout_ms=mdp.TIMEOUT_MS):
        frames = self.recv_raw(timeout_ms)
        mdp.check(len(frames) == 1, "one frame", frames)
        return decode(frames[0])

    def expect(self, *names, timeout_ms=mdp.TIMEOUT_MS):
        """The next message that is one of these; heartbeats are passed over, others are wrong. A
        task may come before the settlement that made room for it is told; it is kept."""
        if "DELIVER" in names and self.kept:
            fields = self.kept.popleft()
            return ("DELIVER", fields) if len(names) > 1 else fields
        deadline = mdp.now_ms() + timeout_ms
        while True:
            name, fields = self.recv(deadline - mdp.now_ms())
            if name in names:
                return (name, fields) if len(names) > 1 else fields
            if name == "DELIVER" and names == ("SETTLED",):
                self.kept.append(fields)
                continue
            mdp.check(name == "HEARTBEAT", f"{names} was due", (name, fields))

    def error(self, timeout_ms=mdp.TIMEOUT_MS):
        """(code, corr) of the ERROR that has to come next."""
        fields = self.expect("ERROR", timeout_ms=timeout_ms)
        return fields["code"], fields.get("corr", 0)

    def hello(self, name="test"):
        self.send("HELLO", name=name)
        return self.expect("WELCOME")

    def ready(self, name, *queues, prefetch=1, held=()):
        self.send("READY", name=name, queue=list(queues), prefetch=prefetch, held=list(held))

    def submit(self, task_id, queue, corr=1, body='{"args":[],"kwargs":{}}', **more):
        """Submits one task and waits for its CONFIRM."""
        task = {"id": task_id, "queue": queue, "task_name": "job", "body": body, **more}
        self.send("SUBMIT", first=corr, task=[task])
        return self.expect("CONFIRM")

    def delivery(self, timeout_ms=mdp.TIMEOUT_MS):
        """The one delivery that has to come next."""
        deliveries = self.expect("DELIVER", timeout_ms=timeout_ms)["delivery"]
        mdp.check(len(deliveries) == 1, "one delivery", deliveries)
        return deliveries[0]

    def settle(self, token, verdict=1, corr=1, **more):
        self.send("SETTLE", first=corr, settlement=[{"token": token, "verdict": verdict, **more}])
