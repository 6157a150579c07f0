"""The other processes of a training: they hold a copy of the network and take their rows of each batch.

The process that the user started is the first one. It alone measures dev, chooses the epoch, saves the state of the fit
and writes files; it tells the others batch by batch what is next. Their SIGTERM ends all, as its own does.
"""

import multiprocessing
import pickle
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from torch import nn
from torch.distributed import TCPStore  # type: ignore[attr-defined]  # its stubs forget it

from pipeline.errors import ParamsError, PipelineError, WorkerError
from pipeline.metrics.metric import Metric
from pipeline.stages.train.params import TrainParams
from pipeline.training.data_parallel.group import HERE, TIMEOUT, Member, Order, Told, joined
from pipeline.training.data_parallel.norms import synchronised
from pipeline.training.loop import TrainBatches, TrainingLoop
from pipeline.training.loss_functions import losses_of
from pipeline.workers.libraries import keep_freed_tensors
from pipeline.workers.pool import ignore_interrupts
from pipeline.workers.progress import silence
from pipeline.workers.serving import end_with_parent

# What the others are called, with their rank behind it.
NAME = "training"
# Seconds in which a process that is told to end does so.
PATIENCE = 10


@dataclass(frozen=True)
class Share:
    """What another process needs to take part in a fit; it is pickled.

    batches: opens its batches of train, once it is in the group. metric: the optimizing one, from which losses may take
    the costs of mistakes or the unit of numbers.
    """

    network: nn.Module
    params: TrainParams
    batches: Callable[[], AbstractContextManager[TrainBatches]]
    metric: Metric


@contextmanager
def helped(share: Share) -> Iterator[None]:
    """Inside, this process is the first of `train.devices` that train a network together.

    Raises:
        WorkerError: another process died.
        PipelineError: what another process could not do.
        ParamsError: this process may not start others.
    """
    count = share.params.devices
    if count == 1:
        yield
        return
    if multiprocessing.current_process().daemon:
        raise ParamsError(
            f"train.devices is {count}, and this fit is made by a worker process, which starts no others: set it to 1"
        )
    store = TCPStore(HERE, 0, count, is_master=True, wait_for_workers=False, timeout=TIMEOUT)
    with _started(share, count, store.port) as others, _deaths_explained(others):
        others.wait_until_ready()
        with joined(Member(0, count), store), synchronised(share.network):
            yield
            # Not after an error: they may be in the middle of a step.
            Member.here().tell(Told(Order.END))
            others.wait_until_ended()


@dataclass(frozen=True)
class _Others:
    processes: list[BaseProcess]
    connections: list[Connection]

    def wait_until_ready(self) -> None:
        """Until all have read in what they need; whoever cannot ends here, before anybody waits for the group."""
        for process, connection in zip(self.processes, self.connections, strict=True):
            wait([connection, process.sentinel])
            if connection.poll():
                told = connection.recv()
                if told is not None:
                    raise _as_error(told)
            else:
                raise RuntimeError

    def wait_until_ended(self) -> None:
        for process in self.processes:
            process.join(PATIENCE)

    def error(self) -> PipelineError | None:
        """Why one of them could not go on; None if all are alive."""
        for process, connection in zip(self.processes, self.connections, strict=True):
            # What it says comes before its end; an error of this process itself does not wait for long.
            wait([connection, process.sentinel], timeout=1)
            with suppress(EOFError):
                while connection.poll():
                    told = connection.recv()
                    if told is not None:
                        return _as_error(told)
            process.join(1)
            if process.exitcode is not None:
                code = process.exitcode
                how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
                return WorkerError(
                    f"a process of the training ended {how}, most often because memory ran out. The state of the fit "
                    "is kept: run the command again, with a smaller train.batch_size or train.devices 1 if it recurs"
                )
        return None


@contextmanager
def _started(share: Share, count: int, port: int) -> Iterator[_Others]:
    context = multiprocessing.get_context("spawn")
    pickled = _pickled(share)
    with ExitStack() as stack:
        others = _Others([], [])
        for rank in range(1, count):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_help, args=(pickled, Member(rank, count), port, theirs), name=f"{NAME} {rank}"
            )
            with ignore_interrupts():
                process.start()
            stack.callback(_end, process, ours)
            theirs.close()
            others.processes.append(process)
            others.connections.append(ours)
        yield others


def _pickled(share: Share) -> bytes:
    try:
        return pickle.dumps(share)
    except Exception as error:
        raise ParamsError(
            f"train.devices is {share.params.devices}, and the network cannot be sent to another process ({error}): "
            "define its classes at the top of their module, or set train.devices to 1"
        ) from error


def _end(process: BaseProcess, connection: Connection) -> None:
    if process.is_alive():
        process.kill()
    process.join()
    connection.close()


@contextmanager
def _deaths_explained(others: _Others) -> Iterator[None]:
    """Torch says of a dead process that a connection was closed."""
    try:
        yield
    except RuntimeError as error:
        reason = others.error()
        if reason is None:
            raise
        raise reason from error


def _help(pickled: bytes, member: Member, port: int, connection: Connection) -> None:
    """In another process: take part until the first one has all that it wants."""
    end_with_parent()
    silence()
    keep_freed_tensors()
    asked: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        asked.append(number)

    # The first process hears of it with the next batch, saves the state of the fit and ends all.
    signal.signal(signal.SIGTERM, note)
    with _errors_sent(connection):
        share: Share = pickle.loads(pickled)  # noqa: S301 - from the first process
        losses = losses_of(share.params.loss, share.params.label_smoothing, share.metric)
        connection.send(None)
        store = TCPStore(HERE, port, member.count, is_master=False, timeout=TIMEOUT)
        with joined(member, store), share.batches() as train, synchronised(share.network):
            TrainingLoop(share.network, share.params, losses).follow(train, lambda: bool(asked))


@contextmanager
def _errors_sent(connection: Connection) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever it is, the first process says it
        with suppress(OSError):
            connection.send(_sendable(error))


def _as_error(told: Any) -> PipelineError:
    return told if isinstance(told, PipelineError) else WorkerError(f"training: {told}")


def _sendable(error: Exception) -> Any:
    return error if isinstance(error, PipelineError) else f"{type(error).__name__}: {error}"
