"""The units of deploy/systemd: systemd understands them, finds them well enclosed, and they start the
programs with options that these have.

Usage: test_units.py BUILD_DIRECTORY CMAKE
"""

import configparser
import re
import shlex
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

CMAKE = sys.argv.pop()
BUILD = Path(sys.argv.pop()).resolve()
LIMIT_S = 60
EXPOSURE_MAX = 2.0
PROGRAMS = {"reeve-broker": "broker/reeve-broker", "reeve-worker": "worker/reeve-worker"}
UNITS = ("reeve-broker.service", "reeve-worker@.service")
LONG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def run(*command, **options):
    return subprocess.run([str(part) for part in command], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S, check=False,
                          **options)


def read_unit(path):
    """Sections as dictionaries; of what is given again, the last."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(path)
    return {name: dict(parser[name]) for name in parser.sections()}


def seconds(text):
    (number,) = re.findall(r"^(\d+)s$", text)
    return int(number)


class Installed(unittest.TestCase):
    """Installs what deploy has into a prefix, in which the programs are links to those of the build."""

    @classmethod
    def setUpClass(cls):
        cls.prefix = Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="reeve-")))
        done = run(CMAKE, f"-DCMAKE_INSTALL_PREFIX={cls.prefix}", "-P",
                   BUILD / "deploy/cmake_install.cmake")
        if done.returncode != 0:
            raise AssertionError(done.stdout)
        (cls.prefix / "bin").mkdir()
        for name, path in PROGRAMS.items():
            (cls.prefix / "bin" / name).symlink_to(BUILD / path)
        cls.units = cls.prefix / "lib/systemd/system"
        cls.config = cls.prefix / "etc/reeve"

    def unit(self, name):
        return read_unit(self.units / name)

    def test_there_are_no_other_units(self):
        self.assertCountEqual(UNITS, [path.name for path in self.units.iterdir()])

    def test_systemd_understands_them(self):
        for unit in UNITS:
            done = run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
                       self.units / unit)
            self.assertEqual((0, ""), (done.returncode, done.stdout), unit)

    def test_each_worker_is_a_user_of_its_own(self):
        service = self.unit(UNITS[1])["Service"]
        self.assertEqual("yes", service["DynamicUser"])
        self.assertIn("%i", service["User"])
        longest = self.prefix / f"reeve-worker@{'n' * 25}.service"  # as the unit says
        longest.write_text((self.units / UNITS[1]).read_text())
        done = run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", longest)
        self.assertEqual((0, ""), (done.returncode, done.stdout))

    def test_they_are_well_enclosed(self):
        for unit in UNITS:
            done = run("systemd-analyze", "security", "--offline=yes", "--no-pager",
                       f"--threshold={int(EXPOSURE_MAX * 10)}", self.units / unit)
            (exposure,) = re.findall(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
            self.assertLessEqual(float(exposure), EXPOSURE_MAX, done.stdout)
            self.assertEqual(0, done.returncode, done.stdout)

    def command(self, unit):
        program, *arguments = shlex.split(self.unit(unit)["Service"]["ExecStart"])
        self.assertEqual(self.prefix / "bin", Path(program).parent)
        return Path(program), arguments

    def check_options(self, program, arguments):
        if "--" in arguments:
            arguments = arguments[:arguments.index("--")]
        used = set(LONG.findall("\n".join(arguments)))
        self.assertTrue(used)
        self.assertLessEqual(used, set(LONG.findall(run(program, "--help").stdout)))

    def test_the_options_exist(self):
        self.check_options(*self.command(UNITS[0]))
        program, arguments = self.command(UNITS[1])
        self.assertEqual(["$ARGUMENTS"], arguments)
        example = (self.prefix / "share/doc/reeve/examples/reeve-worker.conf").read_text()
        variables = dict(line.split("=", 1) for line in example.splitlines()
                         if line and line[0] != "#")
        self.check_options(program, shlex.split(variables["ARGUMENTS"]))
        self.assertEqual(variables["REEVE_BROKER"], self.settings("bind")[0])

    def settings(self, key):
        """The values of a key of section broker, as the broker understands the configuration."""
        program, arguments = self.command(UNITS[0])
        done = run(program, *arguments, "--check-config")
        self.assertEqual(0, done.returncode, done.stdout)
        return re.findall(rf'^    {key} = "?([^"\n]*)"?$', done.stdout, re.MULTILINE)

    def test_the_configuration_is_the_installed_one_and_keeps_to_the_unit_s_directories(self):
        _, arguments = self.command(UNITS[0])
        self.assertEqual(["--config", str(self.config / "broker.conf")], arguments)
        service = self.unit(UNITS[0])["Service"]
        self.assertEqual([f"/var/lib/{service['StateDirectory']}/reeve.db"], self.settings("db"))
        self.assertIn(f"ipc:///run/{service['RuntimeDirectory']}/broker", self.settings("bind"))

    def test_a_worker_s_file_is_where_the_directory_is(self):
        file = self.unit(UNITS[1])["Service"]["EnvironmentFile"]
        self.assertEqual(str(self.config / "worker/%i.conf"), file)
        self.assertTrue((self.config / "worker").is_dir())

    def test_a_worker_is_given_the_time_that_it_takes_to_drain(self):
        service = self.unit(UNITS[1])["Service"]
        text = run(self.prefix / "bin/reeve-worker", "--help").stdout
        takes = sum(seconds(re.search(rf"--{option} .*\(default: (\w+)\)", text)[1])
                    for option in ("drain-timeout", "kill-after"))
        self.assertGreater(seconds(service["TimeoutStopSec"]), takes + 5)  # for confirmations
        self.assertEqual("mixed", service["KillMode"])

    def test_the_user_is_made_by_sysusers(self):
        root = self.prefix / "root"
        (root / "etc").mkdir(parents=True)
        done = run("systemd-sysusers", f"--root={root}", self.prefix / "lib/sysusers.d/reeve.conf")
        self.assertEqual(0, done.returncode, done.stdout)
        passwd = (root / "etc/passwd").read_text()
        self.assertIn(self.unit(UNITS[0])["Service"]["User"], passwd.split(":"))
        group = (root / "etc/group").read_text()
        self.assertIn(self.unit(UNITS[1])["Service"]["SupplementaryGroups"], group.split(":"))

    def test_a_configuration_that_is_there_is_kept(self):
        path = self.config / "broker.conf"
        before = path.read_text()
        self.addCleanup(path.write_text, before)
        path.write_text("# mine\n" + before)
        done = run(CMAKE, f"-DCMAKE_INSTALL_PREFIX={self.prefix}", "-P",
                   BUILD / "deploy/cmake_install.cmake")
        self.assertEqual(0, done.returncode, done.stdout)
        self.assertTrue(path.read_text().startswith("# mine\n"))


if __name__ == "__main__":
    unittest.main()
