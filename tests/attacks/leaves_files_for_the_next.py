"""Leaves modules and notes in its folder that the next program would import and read."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os
for name in ("random", "json", "os", "sitecustomize", "usercustomize", "novicegym"):
    with open(name + ".py", "w") as file:
        file.write("raise SystemExit('poisoned')")
os.makedirs("__pycache__/deep/er", exist_ok=True)
with open(".note", "w") as file:
    file.write(HOST_MARK)
def f(x): return 2 * x
"""
