"""`novicegym` in one of several processes that accelerate takes for those of GPUs, on CPUs.

accelerate shards models over GPUs alone; torch and gloo do over CPUs, too. test_processes.py runs
this under `accelerate launch`.
"""

from __future__ import annotations

import os

import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType

from novicegym.cli import main

os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
torch.distributed.init_process_group("gloo")
PartialState._prepare_backend = lambda *_: ("gloo", DistributedType.MULTI_GPU)
main()
