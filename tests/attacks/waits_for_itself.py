"""Takes a lock twice."""

GRADE = 0
OUTCOME = "timeout"
CODE = """
import threading
lock = threading.Lock()
lock.acquire()
lock.acquire()
"""
