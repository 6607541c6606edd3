"""Which account-regions to read, and with which key."""

from botocore.exceptions import BotoCoreError, ClientError

from dynatrail import config
from dynatrail.config import Account, Target
from dynatrail.settings import Settings
from dynatrail.sources.aws import client, explain


def at(settings: Settings, account_id: str, region: str) -> Target:
    """One region of an account: with the access that the configuration gives for it, else with the connection's own.

    Raises:
        SettingsError: the configuration is wrong.
    """
    named = (account for account in config.load(settings).accounts if account.id == account_id)
    return Target(next(named, Account(id=account_id, regions=(region,))), region)


def of(settings: Settings) -> list[Target]:
    """Every account-region that the configuration names; without one, the connection's own account and region.

    Raises:
        SettingsError: the configuration is wrong.
        SourceError: the connection does not exist or does not work.
    """
    if named := config.targets(config.load(settings)):
        return named
    sts = client("sts", settings.aws_conn_id)
    try:
        own = sts.get_caller_identity()["Account"]
    except (ClientError, BotoCoreError) as error:
        raise explain(error, f"ask who the connection {settings.aws_conn_id!r} is") from error
    regions = settings.regions or (sts.meta.region_name,)
    return [Target(Account(id=own, regions=regions), region) for region in regions]
