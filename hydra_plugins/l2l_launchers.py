"""Hydra launchers with which a worker that is killed loses its own job only: joblib, submitit (local, SLURM), Ray.

The published launcher plugins give a multirun up when one of its workers dies: joblib ends the others with it, submitit
and Ray leave the results of the others behind. Here every job is waited for by itself. One whose worker is gone is
reported to the callbacks as failed, by `WorkerLostError`; all others go on.

This module lies in `hydra_plugins` because Hydra takes launchers from there alone, and it imports joblib, submitit and
Ray only where they are used because Hydra imports it in every command.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from tqdm import tqdm

QUIET = {"TQDM_DISABLE": "1"}  # for jobs that share the multirun's terminal: its one bar counts them


class OursFirst(SearchPathPlugin):
    """Lets `conf/hydra/launcher` have its names where the published plugins, which register the same, are installed."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Hydra calls this when all plugins are loaded and nothing is composed yet."""
        ours_first()


def ours_first() -> None:
    """Takes the names of the published plugins from the store of configurations."""
    registered = ConfigStore.instance().repo.get("hydra", {}).get("launcher", {})
    for name in ("joblib", "submitit_local", "submitit_slurm", "ray"):
        registered.pop(f"{name}.yaml", None)


class WorkerLostError(HydraException):
    """The process that ran a job ended before the job did: killed, out of memory, or its machine is gone."""


@dataclass
class Job:
    """One job of a multirun: what a worker needs in order to run it."""

    number: int
    overrides: list[str]
    context: HydraContext
    config: DictConfig
    task: TaskFunction
    singletons: dict[Any, Any]

    def settings(self) -> DictConfig:
        """The job's own configuration; it is also made the one that `${hydra:...}` refers to."""
        settings = self.context.config_loader.load_sweep_config(self.config, self.overrides)
        with open_dict(settings):
            settings.hydra.job.id = f"{settings.hydra.job.name}_{self.number}"
            settings.hydra.job.num = self.number
        HydraConfig.instance().set_config(settings)
        return settings

    def __call__(self) -> JobReturn:
        """Runs the job, in the worker."""
        setup_globals()
        Singleton.set_state(self.singletons)
        ours_first()
        return run_job(self.task, self.settings(), "hydra.sweep.dir", "hydra.sweep.subdir", self.context)

    def checkpoint(self) -> Any:
        """What submitit does with a job that SLURM preempts: it is queued again, and goes on from its last checkpoint.

        Returns:
            A `submitit.helpers.DelayedSubmission`.
        """
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    def lost(self, error: Exception) -> JobReturn:
        """The return of a job whose worker ended with `error`, after the callbacks have seen it."""
        before = HydraConfig.instance().cfg
        try:
            settings = self.settings()
            folder = Path(settings.hydra.sweep.dir) / settings.hydra.sweep.subdir
            with read_write(settings.hydra.runtime), open_dict(settings.hydra.runtime):
                settings.hydra.runtime.output_dir = str(folder.resolve())
            result = JobReturn(overrides=self.overrides, cfg=settings, status=JobStatus.FAILED)
            result.return_value = WorkerLostError(
                f"lost, its worker ended before it did ({type(error).__name__}); the same command goes on with it"
            )
            self.context.callbacks.on_job_end(config=settings, job_return=result)
            return result
        finally:
            HydraConfig.instance().cfg = before


class OneByOne(Launcher):
    """Starts all jobs of a batch, as `start` says, and waits for each by itself."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's: what the jobs have in common."""
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Hydra's: runs a batch of jobs.

        Args:
            job_overrides: a job's overrides, each.
            initial_job_idx: the first job's number.

        Returns:
            One for each job, in their order.
        """
        setup_globals()
        state = Singleton.get_state()
        jobs = [
            Job(number, list(overrides), self.context, self.config, self.task, state)
            for number, overrides in enumerate(job_overrides, initial_job_idx)
        ]
        Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
        waits = self.start(jobs)
        try:
            bar = tqdm(zip(jobs, waits, strict=True), "jobs", len(jobs), unit="job")
            return [outcome(job, wait) for job, wait in bar]
        except BaseException:
            self.stop()
            raise

    @abstractmethod
    def start(self, jobs: list[Job]) -> list[Callable[[], JobReturn]]:
        """Starts the jobs; each gets a function that waits for it, and raises any error if its worker is lost."""

    @abstractmethod
    def stop(self) -> None:
        """Ends what still runs: the multirun was interrupted."""


def outcome(job: Job, wait: Callable[[], JobReturn]) -> JobReturn:
    """How a job ended. Its own errors are in its return already, so that whatever is raised is its worker's."""
    try:
        return wait()
    except Exception as error:
        return job.lost(error)


class Joblib(OneByOne):
    """On this machine, `n_jobs` at once (-1: as many as cores).

    Each job has a process pool of its own, since joblib's ends all its processes when one of them is killed.
    """

    def __init__(self, n_jobs: int = -1):
        self.n_jobs = n_jobs
        self.pools: list[Any] = []

    def start(self, jobs: list[Job]) -> list[Callable[[], JobReturn]]:
        """Queues the jobs."""
        import joblib

        self.threads = ThreadPoolExecutor(joblib.effective_n_jobs(self.n_jobs))
        return [self.threads.submit(self._run, job).result for job in jobs]

    def _run(self, job: Job) -> JobReturn:
        from joblib.externals.loky.process_executor import ProcessPoolExecutor

        with ProcessPoolExecutor(1, env=QUIET) as pool:
            self.pools.append(pool)
            result: JobReturn = pool.submit(job).result()
            return result

    def stop(self) -> None:
        """Drops the jobs that wait and kills those that run."""
        self.threads.shutdown(wait=False, cancel_futures=True)
        for pool in self.pools:
            pool.shutdown(kill_workers=True)


class Submitit(OneByOne):
    """By submitit: `cluster` is local (a process each, all at once) or slurm (an array job).

    Args:
        cluster: local or slurm.
        submitit_folder: for submitit's own files: what was submitted, what each job printed.
        parameters: submitit's, common to both clusters (`timeout_min`, `mem_gb`, ...) or with the cluster's name before
            it (`slurm_partition`).
    """

    def __init__(self, cluster: str, submitit_folder: str, parameters: DictConfig):
        self.cluster, self.folder, self.parameters = cluster, submitit_folder, parameters

    def start(self, jobs: list[Job]) -> list[Callable[[], JobReturn]]:
        """Submits the jobs, on SLURM as one array."""
        import submitit

        executor = submitit.AutoExecutor(folder=self.folder, cluster=self.cluster)
        executor.update_parameters(**plain(self.parameters))
        with executor.batch():
            self.submitted = [executor.submit(job) for job in jobs]
        if self.cluster == "local":  # no file system to wait for, where the result of a killed job is missing
            for one in self.submitted:
                one._results_timeout_s = 1
        return [one.result for one in self.submitted]

    def stop(self) -> None:
        """Cancels the jobs."""
        for one in self.submitted:
            one.cancel(check=False)


class Ray(OneByOne):
    """On a Ray cluster, or with `init.address` null on one that is started on this machine for the multirun.

    Args:
        init: arguments of `ray.init`.
        remote: arguments of `ray.remote`. Ray itself starts a job again whose worker was killed, `max_retries` times.
    """

    def __init__(self, init: DictConfig, remote: DictConfig):
        self.init, self.remote = init, remote

    def start(self, jobs: list[Job]) -> list[Callable[[], JobReturn]]:
        """Submits the jobs."""
        import ray

        if not ray.is_initialized():
            ray.init(**plain(self.init))
        remote = ray.remote(**plain(self.remote))(Job.__call__)
        return [partial(ray.get, remote.remote(job)) for job in jobs]

    def stop(self) -> None:
        """Leaves the cluster, which ends the jobs of those that leave."""
        import ray

        ray.shutdown()


def plain(config: DictConfig) -> dict[str, Any]:
    """A configuration as keyword arguments; a key that is null is left to its owner's default."""
    container = OmegaConf.to_container(config, resolve=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items() if value is not None}
