"""How many runs Airflow's own timetable plans for [(cron, from date, to date), …]; a program, as it imports Airflow."""

import json
import os
import sys
import tempfile

os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp()

import pendulum
from airflow.timetables.base import TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable


def planned(cron: str, first: str, last: str) -> int:
    """As `airflow.models.backfill` does it: every interval that starts from `first` to `last`, both included."""
    restriction = TimeRestriction(pendulum.parse(first), pendulum.parse(last), catchup=True)
    timetable = CronDataIntervalTimetable(cron, timezone="UTC")
    count, interval = 0, None
    while info := timetable.next_dagrun_info(last_automated_data_interval=interval, restriction=restriction):
        count, interval = count + 1, info.data_interval
    return count


if __name__ == "__main__":
    sys.stdout.write(json.dumps([planned(*asked) for asked in json.loads(sys.argv[1])]))
