"""Keeps Snakemake from looking for jobs to start more and more often.

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
