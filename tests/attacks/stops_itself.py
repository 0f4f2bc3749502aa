"""Stops itself, so that it uses no more CPU time and never ends."""

GRADE = 0
OUTCOME = "timeout"
CODE = """
import os, signal
os.kill(os.getpid(), signal.SIGSTOP)
"""
