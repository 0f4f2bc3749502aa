"""Asks for a restart, a new kernel, a module and swap space, with arguments that cannot work."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
kexec, module = {"x86_64": (246, 175), "aarch64": (104, 105)}[os.uname().machine]
calls = {
    "reboot": lambda: libc.reboot(0x12345),
    "kexec_load": lambda: libc.syscall(kexec, 0, 0, None, 0xFFFF),
    "init_module": lambda: libc.syscall(module, None, 0, b""),
    "swapon": lambda: libc.swapon(b"/nothing-there", 0),
}
let = [name for name, call in calls.items()
       if call() >= 0 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS)]
def f(x): return f"was let {let}" if let else 2 * x
"""
