"""bench/instructions reads callgrind's dumps as they are meant, and notices growth."""

import importlib.machinery
import importlib.util
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOADER = importlib.machinery.SourceFileLoader("instructions", str(ROOT / "bench/instructions"))
instructions = importlib.util.module_from_spec(importlib.util.spec_from_loader("instructions", LOADER))
LOADER.exec_module(instructions)

# main runs 5 itself and has not returned from a call of loop; loop runs 10 and calls malloc, of
# another file, twice; the writer calls it once.
DUMP = """
events: Ir
fl=(1) /src/main.c
fn=(1) main
3 5
cfn=(2) loop
calls=0 7
4 80

fn=(2)
7 10
fi=(2) /src/inlined.h
+2 20
fe=(1)
cfi=(3) ???
cfn=(3) malloc
calls=2 0
* 50

fl=(4) /src/writer.c
fn=(4) run
9 1
cfi=(3)
cfn=(3)
calls=1 0
9 25

fl=(3)
fn=(3)
0 75
"""
MAIN, LOOP = ("main", "/src/main.c"), ("loop", "/src/main.c")
RUN, MALLOC = ("run", "/src/writer.c"), ("malloc", "???")


def figures(cost):
    return {"built_with": {}, "instructions_per_task": {"busy": {"ack": {"writer": cost}}}}


class Dumps(unittest.TestCase):
    def setUp(self):
        self.profile = instructions.Profile()
        self.profile.read(DUMP)

    def test_what_is_inlined_is_its_function_s(self):
        self.assertEqual({MAIN: 5, LOOP: 30, RUN: 1, MALLOC: 75}, dict(self.profile.self_cost))

    def test_the_total_counts_everything_once(self):
        self.assertEqual(111, self.profile.total)

    def test_a_call_that_has_not_returned_is_no_cost_of_its_caller_alone(self):
        self.assertEqual(80, self.profile.into("loop"))
        self.assertEqual(85, self.profile.inclusive(*MAIN))

    def test_calls_can_be_told_by_where_they_come_from(self):
        self.assertEqual(75, self.profile.into("malloc"))
        self.assertEqual(25, self.profile.into("malloc", callers="writer.c"))

    def test_what_two_threads_call_is_shared_out(self):
        self.assertAlmostEqual(1 / 3, self.profile.shares(RUN)[MALLOC])
        self.assertAlmostEqual(2 / 3, self.profile.shares(LOOP)[MALLOC])


class Growth(unittest.TestCase):
    def test_a_tenth_more_is_noticed_and_named(self):
        self.assertEqual([], instructions.grown(figures(11000), figures(10000)))
        line, = instructions.grown(figures(11100), figures(10000))
        self.assertEqual("busy: ack: writer: 11100 instructions per task, 10000 are committed (+11%)",
                         line)

    def test_a_few_instructions_more_are_not(self):
        self.assertEqual([], instructions.grown(figures(18), figures(3)))

    def test_less_is_welcome(self):
        self.assertEqual([], instructions.grown(figures(1), figures(10000)))


if __name__ == "__main__":
    unittest.main()
