"""Stands in for the programs that a page calls: runs what can be run here, and checks the arguments of the rest.

Called as `stand_ins.py PROGRAM ARGUMENT…`. An argument that the real program would refuse ends with a non-zero code.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PYTHON = PROJECT / ".venv" / "bin" / "python"
AWS = PROJECT / ".venv-awscli" / "bin" / "aws"
NEVER_ENDING = {"ui", "demo"}
PARAMS = {"from", "to", "retake", "table", "account", "region", "export", "reason"}
COMPOSE = {"up": (), "down": (), "ps": (), "logs": (), "exec": ("command",), "run": ("command",), "restart": ()}


def main(program: str, arguments: list[str]) -> int:
    return PROGRAMS[program](arguments)


def python(arguments: list[str]) -> int:
    """Runs on the home and the trail of the tests, whichever bucket the page names."""
    env = os.environ | {"DYNATRAIL_TRAIL_BUCKET": os.environ["DOCS_TRAIL"], "DYNATRAIL_HOME": os.environ["DOCS_HOME"]}
    if arguments[:2] == ["-m", "dynatrail"] and len(arguments) > 2 and arguments[2] in NEVER_ENDING:
        arguments = [*arguments, "--help"]
    return subprocess.run([PYTHON, *arguments], env=env, check=False).returncode


def airflow(arguments: list[str]) -> int:
    check = (
        "import sys; from airflow.cli.cli_parser import get_parser; "
        "a = get_parser().parse_args(sys.argv[1:]); print(getattr(a, 'dag_id', '') or '', file=sys.stderr)"
    )
    done = subprocess.run([PYTHON, "-c", check, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        return fault(done.stderr)
    dag = done.stderr.strip().splitlines()[-1:] or [""]
    if arguments[0] in ("backfill", "dags") and dag[0] and not (PROJECT / "dags" / f"{dag[0]}.py").exists():
        return fault(f"there is no DAG {dag[0]}")
    if "--conf" in arguments:
        conf = json.loads(arguments[arguments.index("--conf") + 1])
        if unknown := set(conf) - PARAMS:
            return fault(f"no DAG has the params {unknown}")
    return 0


def aws(arguments: list[str]) -> int:
    """The real program, at an endpoint that nobody serves: it gets that far only with arguments that it takes."""
    env = {"PATH": "/usr/bin:/bin", "AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1"}
    env |= {"HOME": os.environ["HOME"], "AWS_EC2_METADATA_DISABLED": "true"}
    command = [AWS, *arguments, "--endpoint-url", "http://127.0.0.1:9", "--no-sign-request"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    return 0 if "Could not connect to the endpoint URL" in done.stderr else fault(done.stderr)


def make(arguments: list[str]) -> int:
    targets = set(re.findall(r"^([a-z][\w-]*):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    unknown = {argument for argument in arguments if "=" not in argument} - targets
    return fault(f"the Makefile has no target {unknown}") if unknown else 0


def docker(arguments: list[str]) -> int:
    if arguments[:1] != ["compose"]:
        return fault("only `docker compose` is known here")
    action, *rest = arguments[1:]
    words = [word for word in rest if not word.startswith("-")]
    services = set(re.findall(r"^  ([a-z][a-z-]*):$", (PROJECT / "docker-compose.yaml").read_text(), re.MULTILINE))
    if action not in COMPOSE:
        return fault(f"docker compose {action} is not known here")
    if not COMPOSE[action]:
        return fault(f"no services {set(words) - services}") if set(words) - services else 0
    service, *_ = words
    if service not in services:
        return fault(f"docker-compose.yaml has no service {service}")
    command = rest[rest.index(service) + 1 :]
    return main(command[0], command[1:]) if command[0] in PROGRAMS else 0


def git(arguments: list[str]) -> int:
    return 0 if arguments[:1] in (["clone"], ["pull"]) else fault(f"git {arguments}")


def fault(text: str) -> int:
    sys.stderr.write(f"{text}\n")
    return 2


PROGRAMS = {"python": python, "airflow": airflow, "aws": aws, "make": make, "docker": docker, "git": git}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
