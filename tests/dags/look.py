"""Print what Airflow sees in the folder named on the command line, as JSON; run in a process of its own."""

import json
import sys
import time
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag


def awaited(timetable):
    """Names of the assets whose events start a run."""
    condition = getattr(timetable, "asset_condition", None)
    return sorted(asset.name for asset in getattr(condition, "objects", ()))


def seen(path, dag):
    return {
        "file": path.stem,
        "doc": dag.doc_md or "",
        "owner": dag.owner,
        "tags": sorted(dag.tags),
        "retries": {task.task_id: task.retries for task in dag.tasks},
        "max_active_runs": dag.max_active_runs,
        "catchup": dag.catchup,
        "timeout": dag.dagrun_timeout.total_seconds(),
        "timetable": type(dag.timetable).__name__,
        "awaits": awaited(dag.timetable),
        "params": {
            key: dag.params.get_param(key).schema | {"description": dag.params.get_param(key).description}
            for key in dag.params
        },
        "defaults": dict(dag.params.dump()),
        "tasks": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
        "rules": {task.task_id: str(task.trigger_rule.value) for task in dag.tasks},
        "outlets": sorted({asset.name for task in dag.tasks for asset in task.outlets}),
        "undocumented": [
            task.task_id for task in dag.tasks if not getattr(task, "python_callable", task).__doc__ and not task.doc_md
        ],
    }


told = {"errors": {}, "dags": {}, "seconds": {}}
for path in sorted(Path(sys.argv[1]).glob("*.py")):
    began = time.process_time()
    bag = DagBag(path)
    told["seconds"][path.stem] = time.process_time() - began
    told["errors"] |= {str(file): error for file, error in bag.import_errors.items()}
    told["dags"] |= {name: seen(path, dag) for name, dag in bag.dags.items()}
sys.stdout.write(json.dumps(told) + "\n")
