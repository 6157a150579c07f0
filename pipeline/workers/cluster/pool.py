"""The workers of a run on a cluster: they start on each node, are checked, and are replaced when they die."""

import secrets
import time
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.errors import WorkerError
from pipeline.names import shown
from pipeline.workers.cluster.node import Node, NodeReport, Workspace, versions
from pipeline.workers.cluster.settings import ANSWER_SECONDS
from pipeline.workers.progress import say

# Seconds until a cluster whose processors are all taken is given up.
FREE_SECONDS = 60
# How often the cluster is looked at for nodes that joined, or have a processor again.
REFRESH_SECONDS = 10
# How long no new worker starts on a node that lost one: Ray takes some seconds to notice that a node is dead.
LOST_SECONDS = 15


class WorkspaceUnseenError(WorkerError):
    """The nodes of the cluster do not see the workspace, whose files the tasks read."""


_Actor = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(Node)


@dataclass(eq=False)
class ClusterWorker:
    """A worker of the cluster: an actor on a node, and the jobs that it has.

    given: what tells that a job is done -> the job's number and when it was given, the oldest one first.
    """

    actor: Any
    node: str
    report: NodeReport | None = None
    given: dict[Any, tuple[int, float]] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return self.report.host if self.report else "?"

    def kill(self) -> None:
        ray.kill(self.actor)


def processors() -> dict[str, int]:
    """Processors of each living node, by its id."""
    return {node["NodeID"]: int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]}


class ClusterPool:
    """Up to `limit` workers, one for each processor of the cluster.

    Args:
        name: of the cluster, for messages.
    """

    def __init__(self, name: str, limit: int) -> None:
        self.ready: list[ClusterWorker] = []
        self._name = name
        self._limit = limit
        self._starting: dict[Any, ClusterWorker] = {}
        self._refused: dict[str, str] = {}
        self._unseen = ""
        self._failed = ""
        self._lost: dict[str, float] = {}
        self._told = False

    def begin(self, workspace: Workspace) -> None:
        """Start workers for work in this workspace; those that are there stay."""
        self._workspace = workspace
        for worker in self.ready:
            worker.given.clear()  # the second try of a slow job, whose first one has ended the work before
        self._idle_since = self._refreshed = time.monotonic()
        self._start_workers()

    @property
    def awaited(self) -> list[Any]:
        """What tells that a worker has started."""
        return list(self._starting)

    def refresh(self) -> None:
        """Take nodes that joined, and end a wait that is in vain.

        Raises:
            WorkerError: no node can take part, none is left, or their processors stay taken.
        """
        now = time.monotonic()
        if now - self._refreshed > REFRESH_SECONDS:
            self._refreshed = now
            self._start_workers()
        if self.ready:
            self._idle_since = now
            return
        waited = now - self._idle_since
        if not self._starting and (self._refused or (waited > REFRESH_SECONDS and not any(processors().values()))):
            if self._unseen:
                raise WorkspaceUnseenError(self._unseen)
            raise WorkerError(f"no node of {self._name} can be used: {self._reasons()}")
        if waited > FREE_SECONDS:
            raise WorkerError(
                f"no worker could start on {self._name} in {FREE_SECONDS} seconds: "
                f"{self._failed or 'other programs use all of its cores'} (see `ray status`). Wait for them, add "
                "nodes, or use --engine processes"
            )
        if waited > ANSWER_SECONDS and not self._told:
            self._told = True
            say(f"{self._name}: waiting for a free core")

    def started(self, reference: Any) -> None:
        """A worker has started, or failed to: it takes part, or its node is left out for good."""
        worker = self._starting.pop(reference)
        try:
            worker.report = ray.get(reference)
        except RayError as error:
            # Its node is gone, or lacks the package: `refresh` tries again, or ends the run.
            self._failed = f"a worker could not start: {type(error).__name__}: {shown(str(error), 600)}"
            return
        if reason := worker.report.refusal(versions(), self._workspace):
            if self._workspace.tasks_read_it and not worker.report.sees_workspace:
                self._unseen = worker.host
            if worker.node not in self._refused:
                say(f"{self._name}: node {worker.host} is not used: {reason}")
                self._refused[worker.node] = f"{worker.host}: {reason}"
            worker.kill()
        else:
            self.ready.append(worker)

    def lost(self, worker: ClusterWorker) -> None:
        """A worker is dead."""
        if worker in self.ready:
            self.ready.remove(worker)
            worker.kill()
        self._lost[worker.node] = time.monotonic()
        self._start_workers()

    def stop(self) -> None:
        """End all workers."""
        for worker in (*self.ready, *self._starting.values()):
            worker.kill()

    def _reasons(self) -> str:
        return "\n".join(self._refused.values()) or self._failed or "all of them are gone"

    def _start_workers(self) -> None:
        """Start a worker on each processor that has none, up to the limit."""
        workers = [*self.ready, *self._starting.values()]
        left = self._limit - len(workers)
        for node, count in processors().items():
            if node in self._refused or time.monotonic() - self._lost.get(node, -LOST_SECONDS) < LOST_SECONDS:
                continue
            there = sum(worker.node == node for worker in workers)
            for _ in range(min(left, count - there)):
                strategy = NodeAffinitySchedulingStrategy(node, soft=False)
                actor = _Actor.options(scheduling_strategy=strategy).remote(self._workspace, secrets.token_hex(8))
                self._starting[actor.report.remote()] = ClusterWorker(actor, node)
                left -= 1
