"""Import this first in the script of a job: all that is imported after it takes less time.

Each time that some thousand new objects are there, Python looks for those that are no longer used. While torch or
matplotlib is imported it finds none, and takes a tenth of the job for it. `lucaflow.logs.reporting_to` lets it look
again. Nothing but a script imports this module.
"""

import gc

gc.disable()
