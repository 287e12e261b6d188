"""A program that runs beside a test."""

import subprocess

LIMIT_S = 60


class Running:
    """A program in the background, stopped with SIGTERM when the test is over; it must end well."""

    def __init__(self, test, *command):
        self.test, self.command = test, command
        self.process = subprocess.Popen(command, text=True, stderr=subprocess.PIPE)
        test.addCleanup(self.stop)

    def stop(self):
        self.process.terminate()
        try:
            _, errors = self.process.communicate(timeout=LIMIT_S)
        finally:
            self.process.kill()  # nothing stays behind
        self.test.assertEqual(0, self.process.returncode, f"{self.command[0]}:\n{errors}")
