"""Keeps Snakemake from looking for jobs to start more and more often, and from ending a run for one model.

Requires: nothing. Produces: nothing. Snakemake 9.27 looks when a job ends, and a second after each look, for the sake of
its limit of jobs a second. So each job that ends adds one more look a second, until Snakemake does little else.
"""

import threading

from snakemake.scheduling.job_scheduler import JobScheduler


def look_again(scheduler, delay):
    """Look for jobs to start after a delay in seconds, unless a look is already due. In place of Snakemake's method."""
    if getattr(scheduler, "look_is_due", False):
        return

    def look():
        scheduler.look_is_due = False
        scheduler._open_jobs.release()

    scheduler.look_is_due = True
    threading.Timer(delay, look).start()


JobScheduler._schedule_reevalutation = look_again


# If one of these fails, what does not depend on it goes on: others need no model or task of this name.
OF_MODELS = (
    "fetch_checkpoint",
    "convert_checkpoint",
    "plan_heads",
    "divide",
    "train",
    "predict",
    "predict_and_evaluate",
)
handle_error = JobScheduler._handle_error


def go_on_without(scheduler, job, *arguments, **options):
    """Handle the error of a job as Snakemake does; with `--keep-going` from then on if it is one of a model or task."""
    handle_error(scheduler, job, *arguments, **options)
    if job.rule.name in OF_MODELS and job in scheduler.failed:
        scheduler.keepgoing = True


# In a module other rules may have these names, and the workflow around it decides.
if not IS_MODULE:
    JobScheduler._handle_error = go_on_without
