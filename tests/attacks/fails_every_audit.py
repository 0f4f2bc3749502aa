"""Installs an audit hook, which cannot be taken out, that forbids everything from then on."""

GRADE = 0
OUTCOME = "runtime"
CODE = """
import sys
def hook(event, args):
    raise RuntimeError("forbidden")
def f(x):
    sys.addaudithook(hook)
    return open("data.txt")
"""
