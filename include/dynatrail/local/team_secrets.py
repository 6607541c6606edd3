"""The secret files that docker-compose.yaml mounts: made once, never overwritten, each only for its owner."""

import base64
import json
import secrets
import sys
from pathlib import Path

from dynatrail.local.environment import fernet_key, kept_secret

USERS = ("admin", "operator", "auditor")


def make(folder: Path) -> list[Path]:
    """Make the files that are not there yet in `folder` (mode 0700).

    `connections.json` names no credentials: on AWS the machine's role is then used. Put an access key there, or the
    ARN of a role to assume, where there is none; the README lists the permissions it needs.

    Returns:
        The files that this call made.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    contents = {
        "postgres_password": secrets.token_urlsafe,
        "fernet_key": fernet_key,
        "jwt_secret": secrets.token_urlsafe,
        "airflow_passwords.json": lambda: json.dumps({user: secrets.token_urlsafe(12) for user in USERS}),
        "connections.json": lambda: json.dumps(
            {"aws_default": {"conn_type": "aws", "extra": {"region_name": "us-east-1"}}}, indent=1
        ),
        "variables.json": lambda: json.dumps(
            {"dynatrail_token_key": base64.b64encode(secrets.token_bytes(32)).decode()}, indent=1
        ),
        # The form of https://www.postgresql.org/docs/current/libpq-pgpass.html; the password has no `:` or `\`.
        "pgpass": lambda: f"*:*:*:dynatrail:{(folder / 'postgres_password').read_text()}\n",
    }
    missing = [folder / name for name in contents if not (folder / name).exists()]
    for name, content in contents.items():
        kept_secret(folder / name, content)
    return missing


if __name__ == "__main__":
    made = make(Path(sys.argv[1] if len(sys.argv) > 1 else "secrets"))
    sys.stdout.write("".join(f"made {path}\n" for path in made) or "every secret file is there already\n")
