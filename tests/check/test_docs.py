"""The documents say what is so: links lead somewhere, options exist, and numbers are the wire's.

Usage: test_docs.py BUILD_DIRECTORY
"""

import re
import subprocess
import sys
import unittest
from pathlib import Path

BUILD = Path(sys.argv.pop())
ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 20


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def pairs(pattern, text):
    """What the pattern's two groups match, as name to number."""
    return {name.upper(): number for name, number in re.findall(pattern, text, re.MULTILINE)}


# ---- links --------------------------------------------------------------------------------------

LINK = re.compile(r"\]\(([^()\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def documents():
    """Those of build/ are left out before it is entered: other tests make and remove folders there."""
    tops = (top for top in ROOT.iterdir() if not top.name.startswith((".", "build")))
    return sorted(path for top in tops for path in (top, *top.rglob("*")) if path.suffix == ".md")


def anchors(text):
    """As GitHub makes them: lower case, spaces to dashes, punctuation gone."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            for heading in HEADING.findall(FENCE.sub("", text))}


class Links(unittest.TestCase):
    def problems(self, document):
        for link in LINK.findall(FENCE.sub("", document.read_text(encoding="utf-8"))):
            target, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", link):
                continue
            path = (document.parent / target).resolve() if target else document
            if not path.is_relative_to(ROOT) or not path.exists():
                yield f"{link}: there is no such file"
            elif anchor and anchor not in anchors(path.read_text(encoding="utf-8")):
                yield f"{link}: no heading of that name"

    def test_every_relative_link_leads_somewhere(self):
        found = list(documents())
        self.assertIn(ROOT / "README.md", found)
        for document in found:
            with self.subTest(document.relative_to(ROOT).as_posix()):
                self.assertEqual([], list(self.problems(document)))

    def test_every_document_and_decision_is_in_the_index(self):
        index = read("docs/README.md")
        for path in sorted((ROOT / "docs").rglob("*.*")):
            name = path.relative_to(ROOT / "docs").as_posix()
            if name != "README.md" and not name.startswith("plots/"):  # of performance.md
                self.assertIn(f"({name})", index)


class Commands(unittest.TestCase):
    def test_what_operations_tells_to_do_is_no_wrong_usage(self):
        commands = set(re.findall(r"`reeve ((?:--json )?[a-z]+[^`]*)`", read("docs/operations.md")))
        commands.remove("top")  # on a terminal
        self.assertIn("dead show ID", commands)
        for command in sorted(commands):
            words = command.replace("purge", "purge --yes").split()
            done = subprocess.run([BUILD / "client/reeve", "--broker", "ipc:///none/broker",
                                   "--connect-timeout", "1ms", *words], timeout=LIMIT_S,
                                  stdin=subprocess.DEVNULL, capture_output=True, check=False)
            with self.subTest(command):
                self.assertEqual(69, done.returncode, done.stderr)


class Guarantees(unittest.TestCase):
    def test_every_test_that_is_named_exists(self):
        text = read("docs/guarantees.md")
        lists = re.findall(r"^- \[\S+\]\(\.\./(tests/\S+)\):(.*?)(?=\n(?:-|$))", text,
                           re.MULTILINE | re.DOTALL)
        self.assertGreater(len(lists), 8)
        for path, names in lists:
            source = read(path)
            for name in re.findall(r"`(\w+)`", names):
                with self.subTest(name):
                    self.assertRegex(source, rf"\b{name}\((?:void|self)")


# ---- manual pages -------------------------------------------------------------------------------

LONG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def said_by(program, *arguments):
    done = subprocess.run([BUILD / program, *arguments], capture_output=True, text=True,
                          timeout=LIMIT_S, check=True)
    return done.stdout


def long_options(text):
    return set(LONG.findall(text))


def page(name):
    """Its text up to the examples, with the dashes that readers see, of man's and of mdoc's form."""
    text = re.split(r"^\.S[Hh] EXAMPLES$", read(f"docs/man/{name}"), flags=re.MULTILINE)[0]
    return re.sub(r"\bFl -(?=[a-z])", "--", text.replace("\\-", "-"))


class ManualPages(unittest.TestCase):
    def compare(self, told, name, shown):
        self.assertIn("--help", shown)
        self.assertEqual(sorted(shown), sorted(told), f"{name} and --help differ")

    def test_reeve_broker(self):
        self.compare(long_options(page("reeve-broker.8")), "reeve-broker(8)",
                     long_options(said_by("broker/reeve-broker", "--help")))

    def test_reeve_worker(self):
        text = page("reeve-worker.1")
        told = long_options(text) | set(re.findall(r"^\.It Fl ([a-z]) ,", text, re.MULTILINE))
        shown = said_by("worker/reeve-worker", "--help")
        self.compare(told, "reeve-worker(1)", long_options(shown)
                     | set(re.findall(r"^ +-([a-z]), --", shown, re.MULTILINE)))

    def verbs(self, overview):
        verbs = re.findall(r"^  ([a-z]+) ", overview.partition("Verbs:\n")[2].partition("\n\n")[0],
                           re.MULTILINE)
        self.assertIn("submit", verbs)
        return verbs

    def test_the_json_of_each_verb_is_told(self):
        text = page("reeve.1").partition(".SH JSON OUTPUT")[2].partition(".SH")[0]
        told = re.findall(r"[a-z]+", " ".join(re.findall(r"^\.TP\n(.*)", text, re.MULTILINE)))
        verbs = self.verbs(said_by("client/reeve", "--help"))
        self.assertLessEqual(set(verbs) - {"help"}, set(told))

    def test_reeve_and_each_verb(self):
        text = page("reeve.1")
        overview = said_by("client/reeve", "--help")
        verbs = self.verbs(overview)
        self.assertEqual(set(verbs), set(re.findall(r"^\.B reeve ([a-z]+)", text, re.MULTILINE)))
        common = long_options(overview)
        told = text.partition(".SH VERBS")[2].partition(".SH JSON")[0]
        sections = dict(zip(*[iter(re.split(r"^\.SS (\w+)$", told, flags=re.MULTILINE)[1:])] * 2))
        synopsis = re.split(r"^\.br$", text.partition(".SH DESCRIPTION")[0], flags=re.MULTILINE)
        for verb in set(verbs) - {"help"}:
            here = sections[verb] + "".join(s for s in synopsis if f"\n.B reeve {verb}" in s)
            with self.subTest(verb):
                self.compare(long_options(here) | common, f"reeve(1), {verb},",
                             long_options(said_by("client/reeve", verb, "--help")) | common)

    def test_the_pages_render_without_warnings(self):
        for path in sorted((ROOT / "docs/man").iterdir()):
            done = subprocess.run(["groff", "-mandoc", "-Tutf8", "-ww", path], capture_output=True,
                                  text=True, timeout=LIMIT_S, check=False)
            with self.subTest(path.name):
                self.assertEqual((0, ""), (done.returncode, done.stderr))


class TaskDocument(unittest.TestCase):
    def test_the_members_are_the_reader_s(self):
        known = re.findall(r'^ +\[RULE_\w+\] = \{"(\w+)"', read("common/task.c"), re.MULTILINE)
        self.assertIn("task_name", known)
        self.assertEqual(known, re.findall(r"^\| `(\w+)` \|", read("docs/task.md"), re.MULTILINE))


# ---- the protocol -------------------------------------------------------------------------------

def tables(text):
    """Of protocol.md, the rows of fields under each message: {HELLO: {name: number}, …}."""
    found, names = {}, []
    for line in text.splitlines():
        heading = re.match(r"### ([A-Z]+ \(.*)", line)
        part = re.match(r"([A-Z][a-z]+):$", line)
        row = re.match(r"\| (\d+) \| (\w+) \| [^|]+ \|[^|]*\|$", line)
        if line.startswith("#"):
            names = re.findall(r"([A-Z]+) \([0-9a-f]{2}\)", line) if heading else []
        elif part:
            names = [part.group(1).upper()]
        elif row:
            for name in names:
                found.setdefault(name, {})[row.group(2)] = row.group(1)
    return found


class Protocol(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.document, self.proto = read("docs/protocol.md"), read("docs/reeve.proto")
        self.commands = pairs(r"^ +WIRE_([A-Z]+) = 0x(\w{2}),", read("common/wire/reeve.h"))
        self.assertEqual("01", self.commands["HELLO"])

    def test_the_grammar_has_the_commands(self):
        self.assertEqual(self.commands, pairs(r"^    (\w+) += magic %x(\w\w) body$", self.document))

    def test_the_table_has_the_commands(self):
        table = self.document.partition("## 5.")[2].partition("## 6.")[0]
        told = {name: byte for byte, name in re.findall(r"^\| (\w\w) \| ([A-Z]+) \|", table,
                                                        re.MULTILINE)}
        self.assertEqual(self.commands, told)

    def test_the_chapters_have_the_commands(self):
        headings = "\n".join(re.findall(r"^### .*$", self.document, re.MULTILINE))
        self.assertEqual(self.commands, pairs(r"([A-Z]+) \(([0-9a-f]{2})\)", headings))

    def test_the_schema_has_the_commands(self):
        self.assertEqual(self.commands, pairs(r"^message (\w+) +/\* 0x(\w\w)", self.proto))

    def test_document_and_schema_number_the_same_fields(self):
        schema = {}
        bare = re.sub(r"//.*$|/\*.*?\*/", "", self.proto, flags=re.MULTILINE)
        for name, body in re.findall(r"^message (\w+) *\{(.*?)\}", bare,
                                     re.MULTILINE | re.DOTALL):
            schema[name.upper()] = dict(re.findall(r"(\w+) = (\d+);", body))
        self.assertEqual(schema, tables(self.document))

    def test_the_error_codes_are_the_header_s(self):
        header = dict(re.findall(r'^ +X\(\w+, (\d+), "(\w+)"', read("include/reeve/error.h"),
                                 re.MULTILINE))
        chapter = self.document.partition("## 7.")[2].partition("## 8.")[0]
        told = dict(re.findall(r"^\| (\d+) \| (\w+) \|", chapter, re.MULTILINE))
        told.update(re.findall(r"(\d+) `(\w+)`", chapter))
        self.assertEqual(header, told)

    def test_the_states_are_the_header_s(self):
        header = dict(re.findall(r'^ +X\(\w+, (\d+), "(\w+)"', read("include/reeve/task.h"),
                                 re.MULTILINE))
        chapter = self.document.partition("## 1.")[2].partition("## 2.")[0]
        self.assertEqual(header, dict(re.findall(r"^\| (\d) \| (\w+) \|", chapter, re.MULTILINE)))


if __name__ == "__main__":
    unittest.main()
