"""The tables of bench/compare, as Markdown, from its results.jsonl."""

import json
from statistics import median

import servers

TITLES = {one.name: one.title for one in [*servers.ALL, servers.ReeveMemory, servers.BareMdp]}
DURABILITY = {one.name: one.durability for one in servers.ALL}


class Results:
    def __init__(self, path):
        self.machines, self.lines = [], []
        for line in map(json.loads, open(path)):
            if line["part"] == "machine":
                self.machines.append(line | {"loads": []})
            else:
                self.machines[-1]["loads"].append(line["load_average"])
                self.lines.append(line)

    def of(self, part, server, kind):
        return [
            line
            for line in self.lines
            if (line["part"], line["server"], line["kind"]) == (part, server, kind)
        ]

    def values(self, part, server, kind, get):
        return [get(line) for line in self.of(part, server, kind)]

    def median(self, part, server, kind, get):
        values = self.values(part, server, kind, get)
        return median(values) if values else None

    def servers(self, part):
        seen = {line["server"] for line in self.lines if line["part"] == part}
        return [name for name in TITLES if name in seen]

    def kinds(self, part):
        return list(dict.fromkeys(line["kind"] for line in self.lines if line["part"] == part))


def per_s(line):
    return line["tasks_per_s"]


def cpu(line):
    return line["server_cpu_s"] / line["tasks"] * 1e6


def latency(what, share):
    return lambda line: line[what][share] / 1000


FIGURES = {
    "tasks_per_s": "{:.0f}/s",
    "per_s": "{:.0f}/s",
    "ns_per_op": "{:.0f} ns",
    "rss_mib": "{:.0f} MiB",
    "submit_per_s": "submit {:.0f}/s",
    "run_per_s": "run {:.0f}/s",
    "checkpoints": "{} checkpoints",
}


def one_line(line):
    """What is printed while it runs."""
    if line["part"] == "machine":
        return f"# {line['command']}; {line['date']}; load average {line['load_average']:.2f}"
    words = [line["part"], line["server"], line["kind"], f"run {line['run']}:"]
    for name, text in FIGURES.items():
        if name in line:
            words.append(text.format(line[name]))
    for name in ("confirm_us", "wake_us", "round_trip_us"):
        if line.get(name, {}).get("max"):
            shares = ["p50", "p99", *(["p99_9", "max"] if line["part"] == "tail" else [])]
            words.append(" ".join([name[:-3], *(f"{one} {line[name][one]} us" for one in shares)]))
    if line.get("server_cpu_s") and line.get("tasks"):
        words.append(f"{cpu(line):.1f} CPU s/M")
    words.append(f"(load {line['load_average']:.1f})")
    return " ".join(word for word in words if word)


def rate_text(value):
    return f"{value:,.0f}"


def ms_text(value):
    return f"{value:.2f}"


def cell(values, text):
    """The median, and the range where there is one."""
    if not values:
        return "-"
    if len(values) == 1 or min(values) == max(values):
        return text(median(values))
    return f"{text(median(values))} ({text(min(values))}-{text(max(values))})"


def table(heads, rows):
    lines = ["| " + " | ".join(row) + " |" for row in [heads, ["---"] * len(heads), *rows]]
    return "\n".join(lines) + "\n"


def head(results):
    first = results.machines[0]
    text = f"{first['cores']} cores, {first['system']}, {first['filesystem']}\n\n"
    for one in results.machines:
        text += f"    $ {one['command']}\n      # commit {one['commit']}, {one['date']}"
        loads = one["loads"]
        if loads:
            text += f", load average {min(loads):.1f} to {max(loads):.1f}, median {median(loads):.1f}"
        text += "\n"
    packages = dict.fromkeys(package for one in results.machines for package in one["packages"])
    return text + "\n" + ", ".join(packages) + "\n"


def throughput(results):
    columns = [("enqueue", per_s), ("e2e-1", per_s), ("e2e-4", per_s)]
    heads = ["server", "durability", "enqueue/s", "end to end/s, 1 consumer", "4 consumers",
             "of Reeve's, 1 consumer", "server CPU s per 1M", "peak RSS, MiB"]
    own = results.median("peers", "reeve", "e2e-1", per_s)
    rows = []
    for name in results.servers("peers"):
        row = [TITLES[name], DURABILITY[name]]
        row += [cell(results.values("peers", name, kind, get), rate_text) for kind, get in columns]
        theirs = results.median("peers", name, "e2e-1", per_s)
        row.append(f"{theirs / own:.2f}" if own and theirs else "-")
        row.append(cell(results.values("peers", name, "e2e-1", cpu), "{:.1f}".format))
        peaks = [line["peak_rss_mib"] for line in results.of("peers", name, "enqueue")]
        row.append(f"{max(peaks):.0f}" if peaks else "-")
        rows.append(row)
    return table(heads, rows)


def latencies(results):
    heads = ["server", "durability", "confirm p50, ms", "confirm p99", "to worker p50, ms",
             "to worker p99", "to worker p99.9"]
    columns = [("confirm", "confirm_us", "p50"), ("confirm", "confirm_us", "p99"),
               ("wake", "wake_us", "p50"), ("wake", "wake_us", "p99"), ("wake", "wake_us", "p99_9")]
    rows = []
    for name in results.servers("peers"):
        row = [TITLES[name], DURABILITY[name]]
        for kind, what, share in columns:
            row.append(cell(results.values("peers", name, kind, latency(what, share)), ms_text))
        rows.append(row)
    return table(heads, rows)


def waiting(results):
    heads = ["server", "waiting", "RSS empty, MiB", "RSS, MiB", "peak"]
    rows = []
    for kind in results.kinds("waiting"):
        for name in results.servers("waiting"):
            for line in results.of("waiting", name, kind):
                sizes = (line["rss_empty_mib"], line["rss_mib"], line["peak_rss_mib"])
                rows.append([TITLES[name], f"{int(kind):,}", *(f"{size:.0f}" for size in sizes)])
    return table(heads, rows)


SHARES = {"p50": "p50", "p99": "p99", "p99_9": "p99.9", "max": "max"}


def tail(results):
    heads = ["server", "top, enqueue/s", "offered/s", "reached/s", "checkpoints",
             *(f"confirm {text}, ms" for text in SHARES.values())]
    rows = []
    for name in results.servers("tail"):
        half = {what: [line[what] for line in results.of("tail", name, "half")]
                for what in ("rate", "tasks_per_s", "checkpoints")}
        row = [TITLES[name], cell(results.values("tail", name, "top", per_s), rate_text)]
        row += [cell(half["rate"], rate_text), cell(half["tasks_per_s"], rate_text)]
        row.append(cell(half["checkpoints"], rate_text) if any(half["checkpoints"]) else "-")
        for share in SHARES:
            get = latency("confirm_us", share)
            row.append(cell(results.values("tail", name, "half", get), ms_text))
        rows.append(row)
    return table(heads, rows)


def floor(results):
    rows = []
    for kind in results.kinds("floor"):
        lines = results.of("floor", "", kind)
        rows.append([kind, cell([line["per_s"] for line in lines], rate_text), lines[0]["unit"]])
    return table(["", "per second", "of what"], rows)


def rates(part, name_of_kind):
    def make(results):
        rows = []
        for kind in results.kinds(part):
            for name in results.servers(part):
                lines = results.of(part, name, kind)
                if lines:
                    rates_of = [line["tasks_per_s"] for line in lines]
                    rows.append([TITLES[name], kind, cell(rates_of, rate_text)])
        return table(["", name_of_kind, "per second"], rows)

    return make


def mdp(results):
    heads = ["broker", "", "round trips/s", "p50, ms", "p99, ms"]
    rows = []
    for kind in results.kinds("mdp"):
        for name in results.servers("mdp"):
            row = [TITLES[name], kind, cell(results.values("mdp", name, kind, per_s), rate_text)]
            for share in ("p50", "p99"):
                get = latency("round_trip_us", share)
                row.append(cell(results.values("mdp", name, kind, get), ms_text))
            rows.append(row)
    return table(heads, rows)


def spawn(results):
    rows = []
    for name, title in (("reeve", "reeve-worker"), ("bare", "posix_spawn and wait")):
        rows.append([title, cell(results.values("spawn", name, "true", per_s), rate_text)])
    return table(["", "runs of /bin/true per second"], rows)


def backlog(results):
    names = ("submit_per_s", "run_per_s", "rss_mib", "rss_running_mib", "start_s", "database_mib")
    heads = ["waiting", "submit/s", "run/s with it", "RSS filled, MiB", "RSS running, MiB",
             "start after kill, s", "database, MiB"]
    rows = []
    for kind in results.kinds("backlog"):
        for line in results.of("backlog", "reeve", kind):
            texts = ["{:,.2f}" if name == "start_s" else "{:,.0f}" for name in names]
            row = [text.format(line[name]) for name, text in zip(names, texts)]
            rows.append([f"{int(kind):,}", *row])
    return table(heads, rows)


def micro(results):
    rows = []
    for kind in results.kinds("micro"):
        lines = results.of("micro", "", kind)
        row = [cell([line[what] for line in lines], rate_text) for what in ("ns_per_op", "ops_per_s")]
        rows.append([f"`{kind}`", *row])
    return table(["operation", "ns", "in a second"], rows)


# ---- targets ----


def ratio(results, part, kind, get, own, other):
    mine, theirs = (results.median(part, name, kind, get) for name in (own, other))
    return mine / theirs if mine and theirs else None


def targets(results):
    """What is to be reached, as medians of one run: (what, value, bound, whether more is better)."""

    def against(other, kind, get=per_s, part="peers"):
        return ratio(results, part, kind, get, "reeve", other)

    def ids(kind):
        random, ordered = (
            results.median("ids", "reeve", f"{kind}-{ids}", per_s) for ids in ("random", "ordered")
        )
        return random / ordered if random and ordered else None

    tail_ms = results.median("tail", "reeve", "half", latency("confirm_us", "p99_9"))
    rss = results.median("waiting", "reeve", "1000000", lambda line: line["rss_mib"])
    always = "redis-always"
    yield "end to end, 1 consumer, of Redis always", against(always, "e2e-1"), 1.5, True
    yield "the same of RabbitMQ quorum", against("rabbitmq-quorum", "e2e-1"), 3.5, True
    yield "the same of beanstalkd -f0", against("beanstalkd-f0", "e2e-1"), 30, True
    yield "the same of NATS file", against("nats", "e2e-1"), 1.0, True
    yield "end to end, 4 consumers, of Redis always", against(always, "e2e-4"), 1.3, True
    yield "enqueue, of Redis always", against(always, "enqueue"), 1.0, True
    filled = results.of("ids", "reeve", "enqueue-random")
    waiting = f"{filled[-1]['tasks']:,}" if filled else "none"
    yield f"random ids of ordered, end to end, {waiting} waiting", ids("e2e"), 0.5, True
    yield f"random ids of ordered, enqueueing {waiting}", ids("enqueue"), 0.5, True
    for prefetch in ("100", "1000"):
        slow = against(always, f"prefetch {prefetch}", part="slow-sync")
        yield f"syncs of 2 ms, prefetch {prefetch}: end to end, of Redis always", slow, 4, True
    yield "server CPU per task, of Redis always", against(always, "e2e-1", cpu), 1.2, False
    for share in ("p50", "p99"):
        got = against(always, "confirm", latency("confirm_us", share))
        yield f"confirm latency {share}, 1 outstanding, of Redis always", got, 1.5, False
    for share in ("p50", "p99"):
        got = against(always, "wake", latency("wake_us", share))
        yield f"submit to worker {share} at 2,000/s, of Redis always", got, 1.0, False
    yield "ms confirm latency p99.9 at half of the top rate, with checkpoints", tail_ms, 50, False
    yield "MiB RSS with 1M waiting", rss, 64, False
    for kind in results.kinds("mdp"):
        got = ratio(results, "mdp", kind, per_s, "reeve", "bare-mdp")
        bound = 0.4 if kind.startswith("100 ") else None
        yield f"Majordomo, persisted, {kind}, of bare", got, bound, True
        got = ratio(results, "mdp", kind, per_s, "reeve-memory", "bare-mdp")
        yield f"Majordomo, queue durability `memory`, {kind}, of bare", got, 0.8, True
    bare = ratio(results, "spawn", "true", per_s, "reeve", "bare")
    yield "reeve-worker of a bare spawn loop", bare, 0.8, True


def target_table(results):
    rows = []
    for what, value, bound, more in targets(results):
        if value is None:
            continue
        if bound is None:
            rows.append([what, "-", f"{value:.2f}", ""])
            continue
        met = value >= bound if more else value <= bound
        sign = "≥" if more else "≤"
        rows.append([what, f"{sign} {bound:g}", f"{value:.2f}", "met" if met else "**not met**"])
    return table(["ratio of medians", "target", "measured", ""], rows)


TABLES = [
    ("Targets", None, target_table),
    ("Throughput", "peers", throughput),
    ("Latency", "peers", latencies),
    ("Memory", "waiting", waiting),
    ("Confirm latency at half of the top rate", "tail", tail),
    ("The floor", "floor", floor),
    ("Slow syncs", "slow-sync", rates("slow-sync", "")),
    ("Ids", "ids", rates("ids", "work")),
    ("Majordomo", "mdp", mdp),
    ("Commands", "spawn", spawn),
    ("Size of a task", "payload", rates("payload", "bytes")),
    ("Consumers", "consumers", rates("consumers", "consumers")),
    ("Queues", "queues", rates("queues", "queues of one consumer")),
    ("Backlog", "backlog", backlog),
    ("One operation at a time", "micro", micro),
]


def tables(path):
    results = Results(path)
    if not results.lines:
        return "nothing was measured\n"
    parts = {line["part"] for line in results.lines}
    text = head(results)
    for title, part, make in TABLES:
        if part is None or part in parts:
            text += f"\n### {title}\n\n{make(results)}"
    return text


PLOTS = {
    "throughput": "Tasks per second by server",
    "latency": "Latency by server",
    "payload": "Tasks per second by size",
    "consumers": "Tasks per second by consumers",
    "queues": "Tasks per second by queues",
    "backlog": "Reeve as its backlog grows",
}


def publish(path, document):
    """Puts the tables between the document's marks, with the plots that there are beside it."""
    plots = document.parent / "plots"
    shown = [name for name in PLOTS if (plots / f"{name}.svg").exists()]
    images = "".join(f"\n![{PLOTS[name]}](plots/{name}.svg)\n" for name in shown)
    before, _, rest = document.read_text().partition("<!-- measured -->\n")
    after = rest.partition("<!-- /measured -->")[2]
    measured = f"{tables(path)}\n### Plots\n{images}"
    document.write_text(f"{before}<!-- measured -->\n{measured}<!-- /measured -->{after}")
