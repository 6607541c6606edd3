"""Which account-regions to read, and with which key."""

from dynatrail import config
from dynatrail.config import Account, Target
from dynatrail.errors import SettingsError, SourceError
from dynatrail.settings import Settings
from dynatrail.sources.aws import account_of, client


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
        SettingsError: the configuration is wrong, or an account's connection leads into another one.
        SourceError: no account is named, and the connection does not exist or does not work.
    """
    watched = config.load(settings)
    for account in watched.accounts:
        _check_way_in(account, settings)
    if named := config.targets(watched):
        return named
    own = account_of(settings.aws_conn_id)
    regions = settings.regions or (client("sts", settings.aws_conn_id).meta.region_name,)
    return [Target(Account(id=own, regions=regions), region) for region in regions]


def _check_way_in(account: Account, settings: Settings) -> None:
    """Refuse to read one account under another's name. A role's ARN has its account in it; a connection must be asked.

    One that cannot be asked is left to whoever reads that account: the others need not wait for it.
    """
    if account.role_arn:
        return
    connection = account.connection or settings.aws_conn_id
    try:
        own = account_of(connection)
    except SourceError:
        return
    if own != account.id:
        raise SettingsError(
            f"{settings.config_file} says that the connection {connection!r} leads into account {account.id}, and it "
            f"leads into {own}. Name a role of {account.id} to assume (role_arn), or a connection into it."
        )


def find(settings: Settings, account_id: str, region: str) -> Target:
    """The account-region that an earlier task of the run has named.

    Raises:
        SourceError: the configuration has changed since.
        SettingsError: it is wrong.
    """
    for target in of(settings):
        if (target.account_id, target.region) == (account_id, region):
            return target
    raise SourceError(f"The configuration no longer names {account_id} in {region}. Run the DAG again.")
