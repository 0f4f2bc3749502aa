"""Sends sets and dicts whose members all have one hash, which take long to build."""

GRADE = 0
OUTCOME = "logical"
CODE = r"""
import os
prime = 2**61 - 1
members = ",".join(f'["i","{i * prime:#x}"]' if i * prime >> 63 else str(i * prime)
                   for i in range(1, 8_000))
pairs = members.replace("],", "],0,")
values = [f'["s",{members}]', f'["l",["z",{members}]]', f'["d",{pairs},0]']
for fd in range(3, 64):
    try:
        for value in values:
            os.write(fd, f'["case",{value},"",false,"",null]\n'.encode())
    except OSError:
        pass
os._exit(0)
"""
