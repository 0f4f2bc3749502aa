"""Reads the files that name the machine's users, hosts and secrets."""

GRADE = 1
OUTCOME = "correct"
CODE = """
escaped = ""
for path in ("/etc/passwd", "/etc/shadow", "/etc/hosts", "/etc/hostname", "/etc/machine-id",
             "/root/.ssh/id_rsa", "/proc/version", "/proc/cmdline", "/sys/kernel/notes"):
    try:
        escaped = "read " + open(path, "rb").read(100).hex() + " from " + path
    except OSError:
        pass
def f(x): return escaped or 2 * x
"""
