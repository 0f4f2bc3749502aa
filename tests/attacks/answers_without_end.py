"""Answers with containers that hold themselves, twice at each level."""

GRADE = 0
OUTCOME = "logical"
CODE = """
def f(x):
    if x == 3:
        answer = []
        answer += [answer, answer]
    elif x == 5:
        answer = {}
        answer[0] = answer[1] = answer
    else:
        answer = [[], []]
        for _ in range(90):
            answer = [answer, answer]
    return answer
"""
