"""Run the project's DAGs in this process as the steps in the JSON file on the command line say.

A step is `{"dag": id, "conf": {…}}`, with `"logical_date"` for the data interval that the schedule gives it, and with
`"spoil": text` so that reading keys that hold the text fails, and `"answer": option` where a person is asked for
approval, with `"by": user`. What happened is written beside the file, as JSON.
"""

import json
import sys
import threading
import time
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag
from airflow.models.asset import AssetEvent
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session

from dynatrail.clock import parse_instant
from dynatrail.errors import SourceError
from dynatrail.settings import PROJECT, settings
from dynatrail.sources.cloudtrail.bucket import FolderBucket
from dynatrail.state import pending
from dynatrail.warehouse.schema import TABLES
from dynatrail.warehouse.store import Warehouse


def answer(option, dag_id, by):
    """Answer the first request for approval that comes, as the API does it."""
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload
    from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail
    from airflow.models.taskinstance import TaskInstance

    payload = UpdateHITLDetailPayload(chosen_options=[option], params_input={})
    user = SimpleAuthManagerUser(username=by, role="admin")
    for _ in range(600):
        time.sleep(0.2)
        with create_session() as session:
            waiting = session.query(TaskInstance).filter_by(dag_id=dag_id, state="awaiting_input").first()
            if waiting is not None:
                update_hitl_detail(dag_id, waiting.run_id, waiting.task_id, payload, user, session)
                return


steps = Path(sys.argv[1])
read = FolderBucket.read
told = []
for step in json.loads(steps.read_text()):
    spoilt = step.get("spoil")

    def reading(bucket, key, *, limit, spoilt=spoilt):
        if spoilt and spoilt in key:
            raise SourceError("Could not read it: AWS answered SlowDown.")
        return read(bucket, key, limit=limit)

    FolderBucket.read = reading
    dag = DagBag(PROJECT / "dags" / f"{step['dag']}.py").get_dag(step["dag"])
    for task in dag.tasks:
        task.retries = 0
    interval = {"logical_date": parse_instant(step["logical_date"])} if "logical_date" in step else {}
    if "answer" in step:
        by = step.get("by", "privacy officer")
        threading.Thread(target=answer, args=(step["answer"], step["dag"], by), daemon=True).start()
    run = dag.test(run_conf=step.get("conf", {}), **interval)
    with create_session() as session:
        rows = XComModel.get_many(run_id=run.run_id, dag_ids=run.dag_id, key="return_value")
        results = {
            row.task_id: json.loads(row.value) if isinstance(row.value, str) else row.value
            for row in session.scalars(rows)
        }
        events = [event.extra for event in session.query(AssetEvent).filter_by(source_run_id=run.run_id)]
    warehouse = Warehouse.from_settings(settings())
    told.append(
        {
            "state": str(run.state),
            "tasks": {f"{one.task_id}[{one.map_index}]": str(one.state) for one in run.get_task_instances()},
            "results": results,
            "events": events,
            "pending": [hour.isoformat() for hour in pending.hours("build_trail")],
            "versions": warehouse.versions(),
            "digests": {name: warehouse.digest(name) for name in TABLES},
        }
    )
steps.with_suffix(".told.json").write_text(json.dumps(told))
