"""Sends answers nested deeper than the encoder writes: lists, and tuples as keys."""

GRADE = 0
OUTCOME = "refused"
CODE = r"""
import os
deep = '["l",' * 600 + "1" + "]" * 600
keys = '["s",' + '["t",' * 600 + "1" + "]" * 601
for fd in range(3, 64):
    try:
        for value in (deep, keys, deep):
            os.write(fd, f'["case",{value},"",false,"",null]\n'.encode())
    except OSError:
        pass
os._exit(0)
"""
