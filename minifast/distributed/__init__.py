"""Train on several processes (ranks), each with its part of every batch, over MPI."""
from .communicator import Communicator as Communicator, world as world
from .methods import only_rank_0_prints as only_rank_0_prints, to_distributed as to_distributed
from .nccl import NCCLCommunicator as NCCLCommunicator, one_gpu_per_rank as one_gpu_per_rank
from .norm import SyncBatchNorm as SyncBatchNorm
from .trainer import DistributedTrainer as DistributedTrainer
