"""The audit: a report, a policy and perhaps a baseline → one verdict. Pure functions; only the standard library.

judging    every rule at every layer → Verdict        cases      what each kind of rule demands and finds
estimates  numbers, and what makes them significant   obtaining  files or references → reports
outputs    the files of one audit
"""

from interlayer.audit.judging import audit
from interlayer.audit.obtaining import Evidence

__all__ = ["Evidence", "audit"]
