"""Starts other programs: by exec, spawn, system, subprocess, and by the loader."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os, subprocess
escaped = ""
try:
    if os.system("exit 7") == 7 << 8:
        escaped = "ran a command"
except OSError:
    pass
for start in (lambda: subprocess.run(["/bin/true"], check=True),
              lambda: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)[1] and 1 / 0,
              lambda: os.execv("/bin/echo", ["echo"]),
              lambda: os.execv("/lib64/ld-linux-x86-64.so.2", ["ld.so", "/bin/echo"])):
    try:
        start()
        escaped = "started a program"
    except (OSError, ZeroDivisionError, subprocess.SubprocessError):
        pass
def f(x): return escaped or 2 * x
"""
