"""Raises its own limits on memory, processes, files and CPU time."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import resource
escaped = ""
for name in ("AS", "DATA", "FSIZE", "NOFILE", "NPROC", "CORE", "MEMLOCK", "MSGQUEUE"):
    kind = getattr(resource, "RLIMIT_" + name)
    soft, hard = resource.getrlimit(kind)
    if hard == resource.RLIM_INFINITY:
        escaped = f"has no limit on {name}"
        continue
    for value in (resource.RLIM_INFINITY, hard + 1):
        try:
            resource.setrlimit(kind, (soft, value))
            escaped = f"raised {name}"
        except (OSError, ValueError):
            pass
def f(x): return escaped or 2 * x
"""
