"""What people's machines, files and clients do, and what comes of it: each kind of failure that was seen in the field, and
others of its kind.

    field.py                      all
    field.py --only stock,memory  some
"""

import argparse

import field_endurance
import field_memory
import field_models
import field_pipes
import field_reports
import field_requests
import field_stock
import field_workers
from interop import Report

PARTS = {"endurance": field_endurance, "memory": field_memory, "models": field_models, "pipes": field_pipes, "reports": field_reports,
         "requests": field_requests, "stock": field_stock, "workers": field_workers}

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("--only", default="")
options = arguments.parse_args()
report = Report()
for name in options.only.split(",") if options.only else PARTS:
    PARTS[name].check(report)
report.finish()
