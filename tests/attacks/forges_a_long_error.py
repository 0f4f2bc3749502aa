"""Claims a compile error of a hundred thousand characters."""

GRADE = 0
OUTCOME = "compile"
CODE = r"""
import os
for fd in range(3, 64):
    try:
        os.write(fd, b'["compile","' + b"0x1234567" * 10_000 + b'"]\n')
    except OSError:
        pass
os._exit(0)
"""
