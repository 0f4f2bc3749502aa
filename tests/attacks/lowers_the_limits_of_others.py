"""Sets limits of its zygote, which the next program would inherit, and of the host's processes."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os, resource
escaped = ""
for pid in (os.getppid(), HOST_PID, HOST_SUPERVISOR):
    for name, value in (("AS", 60 << 20), ("FSIZE", 0), ("NOFILE", 3), ("NPROC", 0), ("CPU", 1)):
        kind = getattr(resource, "RLIMIT_" + name)
        try:
            old = resource.prlimit(pid, kind)
            escaped = f"read the limits of {pid}"
            wanted = old if pid == HOST_SUPERVISOR else (min(value, *old), old[1])
            resource.prlimit(pid, kind, wanted)
            escaped = f"set the limits of {pid}"
        except (OSError, ValueError):
            pass
def f(x): return escaped or 2 * x
"""
