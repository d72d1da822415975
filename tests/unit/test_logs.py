"""What a job says on the terminal and in its log."""

import os
import subprocess
import sys

from workflow_runs import ROOT


def test_information_is_below_the_line_of_the_job_and_warnings_begin_at_the_margin(tmp_path):
    code = (
        "import logging; from lucaflow.logs import IN_LOG_ONLY, reporting_to; logger = logging.getLogger('lucaflow')\n"
        f"with reporting_to({str(tmp_path / 'log')!r}, logging.INFO):\n"
        "    logger.info('60 records\\n1 changed')\n"
        "    logger.info('removed a file', extra=IN_LOG_ONLY)\n"
        "    logger.warning('a doubt')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == "  60 records\n  1 changed\na doubt\n"
    log = (tmp_path / "log").read_text()
    assert all(line in log for line in ("INFO 60 records\n1 changed\n", "INFO removed a file\n", "WARNING a doubt\n"))
    assert log.count("\n") == 4
