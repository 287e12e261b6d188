"""The completion for bash offers what the programs have. Usage: test_completion.py BUILD_DIRECTORY"""

import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

BUILD = Path(sys.argv.pop())
FILE = Path(__file__).resolve().parents[2] / "deploy/completion/reeve.bash"
PROGRAMS = {"reeve": "client/reeve", "reeve-broker": "broker/reeve-broker",
            "reeve-worker": "worker/reeve-worker"}
LIMIT_S = 20

LONG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
# An option with its value: one blank between them; what follows further away is the explanation.
VALUED = re.compile(r"^ +(?:(-\w), )?(--[a-z-]+) \S+(?:  |$)", re.MULTILINE)
SHORT = re.compile(r"^ +(-\w), --", re.MULTILINE)
# Words as bash gives them to the function; it is told of them by its positional parameters.
COMPLETE = """
set -eu
source "$1"
shift
[[ $(complete -p "$1") =~ -F\\ ([a-z_]+) ]]
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMPREPLY=()
set +eu
"${BASH_REMATCH[1]}" "$1"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def help_of(program, *verb):
    return subprocess.run([BUILD / PROGRAMS[program], *verb, "--help"], capture_output=True,
                          text=True, timeout=LIMIT_S, check=True).stdout


def verbs():
    table = help_of("reeve").partition("Verbs:\n")[2].partition("\n\n")[0]
    return re.findall(r"^  ([a-z]+) ", table, re.MULTILINE)


def complete(*words, cwd=None):
    """What is offered for the last of the words."""
    done = subprocess.run(["bash", "--norc", "-c", COMPLETE, "bash", FILE, *words],
                          capture_output=True, text=True, timeout=LIMIT_S, check=True, cwd=cwd)
    if done.stderr:
        raise AssertionError(done.stderr)
    return [line for line in done.stdout.splitlines() if line]


class Options(unittest.TestCase):
    maxDiff = None

    def compare(self, text, *words):
        """What is offered behind these words, with what --help has in this text."""
        options, valued = set(LONG.findall(text)), set(VALUED.findall(text))
        valued = {name for pair in valued for name in pair if name}
        self.assertCountEqual(options, complete(*words, "--"), words)
        short = set(SHORT.findall(text))
        self.assertCountEqual(options | short, complete(*words, "-"), words)
        for option in options | short:
            # Behind an option that takes a value a further one is offered only if it could be one.
            offered = "--help" in complete(*words, option, "--")
            self.assertEqual(option not in valued, offered, f"{words} {option}")
        return valued

    def test_of_reeve_before_the_verb(self):
        self.compare(help_of("reeve"), "reeve")

    def test_of_each_verb(self):
        for verb in set(verbs()) - {"help"}:
            # The texts speak of options of other programs and verbs, too.
            text = "\n".join(re.findall(r"^  +-.*$", help_of("reeve", verb), re.MULTILINE))
            self.compare(text, "reeve", verb)

    def test_of_broker_and_worker(self):
        for program in ("reeve-broker", "reeve-worker"):
            self.assertGreater(len(self.compare(help_of(program), program)), 5)


class Words(unittest.TestCase):
    def test_verbs_where_none_was_given(self):
        self.assertCountEqual(verbs(), complete("reeve", ""))
        self.assertEqual(["submit"], complete("reeve", "--json", "su"))
        broker = ("--broker", "tcp", ":", "//broker", ":", "5555")  # as bash takes it apart
        self.assertCountEqual(verbs(), complete("reeve", *broker, ""))
        self.assertCountEqual(verbs(), complete("reeve", "help", ""))
        self.assertEqual([], complete("reeve", "status", ""))

    def test_what_dead_can_do(self):
        (synopsis,) = re.findall(r"^Usage:.*?\n\n", help_of("reeve", "dead"), re.DOTALL)
        actions = re.findall(r"reeve dead (\w+)", synopsis)
        self.assertEqual(4, len(actions))
        self.assertCountEqual(actions, complete("reeve", "dead", ""))
        self.assertEqual([], complete("reeve", "dead", "show", ""))

    def test_values_are_those_of_the_help(self):
        for words, option in ((["reeve", "check"], "--format"), (["reeve", "top"], "--sort"),
                              (["reeve-broker"], "--log-format"), (["reeve-broker"], "--log-level"),
                              (["reeve-worker"], "--log-format"), (["reeve-worker"], "--log-level"),
                              (["reeve-broker"], "--http"), (["reeve-worker"], "--http")):
            text = re.split(rf"^ +{option} ", help_of(*words), flags=re.MULTILINE)[1]
            text = re.split(r"^ +-|^$", text, flags=re.MULTILINE)[0]
            offered = complete(*words, option, "")
            self.assertTrue(offered, option)
            for word in offered:
                self.assertRegex(text, rf"\b{word}\b", option)
            self.assertEqual(offered[:1], complete(*words, option, "=", offered[0]))
            self.assertEqual(offered, complete(*words, option, "="))

    def test_files(self):
        with tempfile.TemporaryDirectory() as directory:
            (Path(directory) / "two words").touch()
            (Path(directory) / "two").mkdir()
            for words in (("reeve-broker", "--config"), ("reeve", "submit", "--file"),
                          ("reeve-worker", "--queue", "q", "--", "cat")):
                self.assertCountEqual(["two", "two words"], complete(*words, "tw", cwd=directory))
            self.assertEqual(["two"], complete("reeve", "selftest", "--dir", "tw", cwd=directory))
            log = complete("reeve-broker", "--log-to", "", cwd=directory)
            self.assertCountEqual(["stderr", "journal", "two", "two words"], log)

    def test_commands_of_a_worker(self):
        self.assertIn("cat", complete("reeve-worker", "--queue", "q", "--", "ca"))


if __name__ == "__main__":
    os.environ.pop("BASH_ENV", None)
    unittest.main()
