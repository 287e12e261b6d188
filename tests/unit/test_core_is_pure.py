"""The core is pure: it calls nothing that could read a clock, a socket, a file or chance.

Usage: test_core_is_pure.py LIBRARY NM CC. Reads what libreeve_core.a leaves undefined.
"""

import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

LIBRARY, NM, CC = sys.argv[1:4]
del sys.argv[1:]

ALLOWED = set("""
    malloc calloc realloc free
    memcmp bcmp memcpy memmove memset strcmp strlen
    mem_alloc mem_zalloc mem_realloc mem_longer mem_strdup mem_strndup
    reeve_state_name
    __assert_fail exit
    __stack_chk_fail _GLOBAL_OFFSET_TABLE_
""".split())  # exit: uthash, when there is no memory

INSTRUMENTATION = re.compile(r"__(asan|ubsan|tsan|sanitizer|gcov)_\w+|__memcpy_chk|__memset_chk")


def foreign_symbols(library):
    """What the library needs and neither defines nor may have."""
    listing = subprocess.run([NM, library], capture_output=True, text=True, check=True).stdout
    symbols = re.findall(r"^[0-9a-f]* +([A-Za-z]) (\S+)$", listing, re.MULTILINE)
    needed = {name for kind, name in symbols if kind in "Uw"}
    defined = {name for kind, name in symbols if kind not in "Uw"}
    return {name for name in needed - defined - ALLOWED if not INSTRUMENTATION.fullmatch(name)}


class CoreIsPure(unittest.TestCase):
    def test_the_core_calls_nothing_but_memory_and_itself(self):
        self.assertEqual(set(), foreign_symbols(LIBRARY))

    def test_there_is_a_core_to_read(self):
        listing = subprocess.run([NM, LIBRARY], capture_output=True, text=True, check=True).stdout
        self.assertIn(" T core_step\n", listing)


class TheCheckCanFail(unittest.TestCase):
    def foreign_symbols_of(self, code):
        with tempfile.TemporaryDirectory() as scratch:
            source, thing = Path(scratch, "impure.c"), Path(scratch, "impure.o")
            source.write_text(code, encoding="utf-8")
            subprocess.run([CC, "-c", "-o", thing, source], check=True)
            return foreign_symbols(thing)

    def test_a_clock_is_found(self):
        self.assertEqual({"time"}, self.foreign_symbols_of(
            "#include <time.h>\nlong f(void); long f(void) { return (long)time(0); }\n"))

    def test_chance_is_found(self):
        self.assertEqual({"rand"}, self.foreign_symbols_of(
            "#include <stdlib.h>\nint f(void); int f(void) { return rand(); }\n"))

    def test_a_function_of_another_layer_is_found(self):
        self.assertEqual({"sqlite3_step", "clock_mono_us"}, self.foreign_symbols_of(
            "int sqlite3_step(void *); long clock_mono_us(void);\n"
            "long f(void); long f(void) { return sqlite3_step(0) + clock_mono_us(); }\n"))

    def test_what_is_allowed_is_not_found(self):
        self.assertEqual(set(), self.foreign_symbols_of(
            "#include <string.h>\nint f(const char *, const char *);\n"
            "int f(const char *a, const char *b) { return strcmp(a, b); }\n"))


if __name__ == "__main__":
    unittest.main()
