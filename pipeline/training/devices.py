"""Where a network is trained, and in which precision: Lightning Fabric on a GPU if there is one, else on the CPU."""

import inspect
from typing import TYPE_CHECKING, Any, Literal

import torch

from pipeline.errors import ParamsError
from pipeline.training.data_parallel.group import Member

if TYPE_CHECKING:
    from lightning_fabric import Fabric

MIXED: dict[str, Literal["bf16-mixed", "16-mixed"]] = {"bfloat16": "bf16-mixed", "float16": "16-mixed"}


def device_of_training() -> str:
    """The GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def fabric_of(precision: str, member: Member) -> "Fabric":
    """One device for each process of the training: a GPU if there is one."""
    # Baselines, and the models of `label-issues` that use embeddings, do without.
    from lightning_fabric import Fabric
    from lightning_fabric.plugins import MixedPrecision, Precision
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment

    class Mixed(MixedPrecision):
        """Pixels reach the network as they are: it scales them first, and half precision would round those of mixup."""

        def convert_input(self, data: Any) -> Any:
            return data

    device = device_of_training()
    chosen = Mixed(MIXED[precision], device) if precision in MIXED else Precision()
    if member.count == 1:
        # One process, whatever a cluster's environment variables say of others.
        return Fabric(accelerator=device, devices=1, plugins=[chosen, LightningEnvironment()])
    from lightning_fabric.strategies.ddp import DDPStrategy
    from torch.nn.parallel import DistributedDataParallel

    class Started(LightningEnvironment):
        """The processes are there already, and in their group."""

        creates_processes_externally = True

        def local_rank(self) -> int:
            return member.rank

    # Buffers are the same in all processes, and the first one measures dev alone: nothing is to be sent then. The
    # argument's name is that of torch 2.13, or an older one's.
    known = inspect.signature(DistributedDataParallel).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    arguments: dict[str, Any] = {name: False}
    strategy = DDPStrategy(**arguments)
    fabric = Fabric(accelerator=device, devices=member.count, strategy=strategy, plugins=[chosen, Started()])
    fabric.launch()
    return fabric


def be_deterministic() -> None:
    """From now on torch takes only kernels that give the same numbers each time."""
    # On a GPU cuBLAS must be told as well: workers/libraries.py does so.
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False


def check_precision(precision: str) -> None:
    """Raise ParamsError unless this machine supports it."""
    cuda = torch.cuda.is_available()
    if precision == "float16" and not cuda:
        raise ParamsError(
            "train.precision float16 needs a GPU, and torch finds none on this machine: set it to float32 or bfloat16"
        )
    if precision == "bfloat16" and cuda and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ParamsError("this GPU does not support train.precision bfloat16: set it to float32 or float16")
