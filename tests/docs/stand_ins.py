"""Stands in for the programs that a page calls: runs what can be run here, and checks the arguments of the rest.

Called as `stand_ins.py PROGRAM ARGUMENT…`. An argument that the real program would refuse ends with a non-zero code.
Airflow and aws-cli take seconds to start, and print nothing that a page goes on with: their commands are noted in the
file that DOCS_NOTED names, and `stand_ins.py check` gives all of them to one process of the real program.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
PYTHON = PROJECT / ".venv" / "bin" / "python"
AWS = PROJECT / ".venv-awscli" / "bin" / "python"
NEVER_ENDING = {"ui", "demo"}
PARAMS = {"from", "to", "retake", "table", "account", "region", "export", "reason"}
PARAMS |= {"items", "scan", "scan_capacity", "scan_rate", "ask"}
PARAMS |= {"subject", "confirm"}
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
    return note("airflow", arguments)


def aws(arguments: list[str]) -> int:
    return note("aws", arguments)


def note(program: str, arguments: list[str]) -> int:
    with Path(os.environ["DOCS_NOTED"]).open("a") as noted:
        noted.write(json.dumps([program, str(Path.cwd()), arguments]) + "\n")
    return 0


def check() -> int:
    """Names the first noted command that its program refuses."""
    path = Path(os.environ["DOCS_NOTED"])
    noted = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    for program, checked in (("airflow", airflow_checked), ("aws", aws_checked)):
        those = [(cwd, arguments) for name, cwd, arguments in noted if name == program]
        for (_, arguments), refusal in zip(those, checked(those) if those else [], strict=True):
            if refusal:
                return fault(f"{refusal}\nthe page stops at: {program} {shlex.join(arguments)}")
    return 0


PARSE = """
import contextlib, io, json, sys
from airflow.cli.cli_parser import get_parser

for arguments in json.load(sys.stdin):
    said, dag = io.StringIO(), ""
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            dag = getattr(get_parser().parse_args(arguments), "dag_id", None) or ""
            said = io.StringIO()
        except SystemExit:
            said.write("Airflow refuses it")
    print(json.dumps([said.getvalue(), dag]))
"""


def airflow_checked(commands: list[tuple[str, list[str]]]) -> list[str]:
    parsed = told([PYTHON, "-c", PARSE], [arguments for _, arguments in commands], os.environ)
    return [refusal or airflow_fault(a, dag) for (_, a), (refusal, dag) in zip(commands, parsed, strict=True)]


def airflow_fault(arguments: list[str], dag: str) -> str:
    if arguments[0] in ("backfill", "dags") and dag and not (PROJECT / "dags" / f"{dag}.py").exists():
        return f"there is no DAG {dag}"
    if "--conf" in arguments:
        conf = json.loads(arguments[arguments.index("--conf") + 1])
        if unknown := set(conf) - PARAMS:
            return f"no DAG has the params {unknown}"
    return ""


# At an endpoint that nobody serves: it gets that far only with arguments that it takes.
CALL = """
import contextlib, io, json, os, sys
from awscli.clidriver import create_clidriver

for cwd, arguments in json.load(sys.stdin):
    os.chdir(cwd)
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            create_clidriver().main([*arguments, "--endpoint-url", "http://127.0.0.1:9", "--no-sign-request"])
        except SystemExit:
            pass
    text = said.getvalue()
    print(json.dumps("" if "Could not connect to the endpoint URL" in text else text or "aws-cli called nobody"))
"""


def aws_checked(commands: list[tuple[str, list[str]]]) -> list[str]:
    env = {"PATH": "/usr/bin:/bin", "AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1"}
    env |= {"HOME": os.environ["HOME"], "AWS_EC2_METADATA_DISABLED": "true"}
    return told([AWS, "-c", CALL], commands, env)


def told(command: list[object], asked: list[object], env: Mapping[str, str]) -> list[Any]:
    """What a process answers to a list on its standard input: a line of JSON for each."""
    done = subprocess.run(command, input=json.dumps(asked), env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


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
    sys.exit(check() if sys.argv[1:] == ["check"] else main(sys.argv[1], sys.argv[2:]))
