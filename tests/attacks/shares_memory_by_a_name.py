"""Makes named shared memory and a named semaphore, as multiprocessing does, and leaves them."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os
escaped = ""
try:
    import _posixshmem
    os.close(_posixshmem.shm_open("/" + HOST_MARK, os.O_CREAT | os.O_RDWR, 0o666))
    escaped = "made shared memory"
except (ImportError, OSError):
    pass
try:
    import _multiprocessing
    _multiprocessing.SemLock(1, 1, 1, "/" + HOST_MARK, False)
    escaped = "made a semaphore"
except (ImportError, OSError):
    pass
def f(x): return escaped or 2 * x
"""
