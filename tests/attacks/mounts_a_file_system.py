"""Mounts, unmounts and remounts, by the old system calls and by the new."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def refused(result):
    return result < 0 and ctypes.get_errno() in (errno.EPERM, errno.ENOSYS, errno.EACCES)
calls = {
    "mount": lambda: libc.mount(b"none", b".", b"no-such-system", 0, None),
    "umount": lambda: libc.umount2(b".", 2),
    "open_tree": lambda: libc.syscall(428, -100, b"/", 1),
    "fsopen": lambda: libc.syscall(430, b"tmpfs", 0),
    "mount_setattr": lambda: libc.syscall(442, -100, b"/", 0, ctypes.create_string_buffer(32), 32),
}
let = [name for name, call in calls.items() if not refused(call())]
def f(x): return f"was let {let}" if let else 2 * x
"""
