"""``ais auth add|update|rm|show``: users, roles, the cluster that they are about, and how tokens are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
import typer

from tidegate import access
from tidegate.access import CLUSTER_READ_ONLY
from tidegate.cli import say
from tidegate.cli.ais import client as connection
from tidegate.cli.ais import text
from tidegate.cli.ais.authn import (
    ClusterOption,
    PasswordOption,
    Role,
    Rules,
    User,
    authn_url,
    clusters_of,
    names_of,
    path_of,
    read_password,
    spelt,
)
from tidegate.cli.ais.grammar import JsonOption, NoHeaderOption, YesOption
from tidegate.cli.ais.uris import bucket_of
from tidegate.cli.failures import Failure
from tidegate.cli.transport import Client

# Given on the command line these mean a role for buckets; for a whole cluster they also let one find the buckets.
_FOR_BUCKETS: Final = frozenset({"ro", "rw"})

NameArgument = Annotated[str, typer.Argument(metavar="NAME", show_default=False)]
SomeNameArgument = Annotated[str, typer.Argument(metavar="NAME", show_default=False)]
RolesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="ROLE", help="The user's roles.", show_default=False)
]
PermissionsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="PERMISSION", help="ro, rw, su, or names such as GET LIST-OBJECTS.", show_default=False),
]
BucketOption = Annotated[
    str, typer.Option("--bucket", metavar="BUCKET", help="What is given is for this bucket.", show_default=False)
]
DescriptionOption = Annotated[str, typer.Option("--desc", metavar="TEXT", help="A description.", show_default=False)]
VerboseOption = Annotated[bool, typer.Option("-v", "--verbose", help="Show the permissions.")]
UrlsArgument = Annotated[list[str] | None, typer.Argument(metavar="URL", show_default=False)]


# --- users -----------------------------------------------------------------------------------------------------------


def add_user(name: NameArgument, roles: RolesArgument = None, password: PasswordOption = None) -> None:
    """Add a user."""
    message = {"id": name, "pass": read_password(password), "roles": [{"name": role} for role in roles or ()]}
    _admin().request("POST", "/v1/users", action=message)
    print(f'user "{name}" added')


def update_user(name: NameArgument, roles: RolesArgument = None, password: PasswordOption = None) -> None:
    """Give a user another password, or exactly these roles, or both."""
    message: dict[str, object] = {"id": name, "roles": [{"name": role} for role in roles or ()]}
    if password is not None or not roles:
        message["pass"] = read_password(password)
    _admin().request("PUT", path_of("users", name), action=message)
    print(f'user "{name}" updated')


def remove_user(name: NameArgument, yes: YesOption = False) -> None:
    """Remove a user, with keys and tokens. What they own stays."""
    if say.confirm(f'Proceed to remove user "{name}"?', yes=yes):
        _admin().request("DELETE", path_of("users", name))
        print(f'user "{name}" removed')


def show_user(
    name: SomeNameArgument = "",
    verbose: VerboseOption = False,
    no_headers: NoHeaderOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show users and their roles."""
    client = _admin()
    if name:
        found = [msgspec.json.decode(client.request("GET", path_of("users", name)).data, type=User)]
    else:
        users = msgspec.json.decode(client.request("GET", "/v1/users").data, type=dict[str, User])
        found = [users[each] for each in sorted(users)]
    if as_json:
        print(text.document(found))
    elif verbose:
        for user in found:
            print(f"Name\t{user.id}\nRoles\t{names_of(user.roles) or text.NOTHING}")
            _print_rules(client, user.rules, has_header=not no_headers)
    else:
        rows = [(user.id, names_of(user.roles) or text.NOTHING) for user in found]
        print(text.table(("NAME", "ROLES"), rows, has_header=not no_headers))


# --- roles -----------------------------------------------------------------------------------------------------------


def add_role(
    name: NameArgument,
    permissions: PermissionsArgument = None,
    cluster: ClusterOption = "",
    bucket: BucketOption = "",
    desc: DescriptionOption = "",
    admin: Annotated[bool, typer.Option("--admin", help="Whoever has the role may do everything.")] = False,
) -> None:
    """Add a role: permissions for the whole cluster, or for a bucket."""
    role = {"name": name, "desc": desc, "admin": admin, **_rules(permissions or (), cluster, bucket)}
    _admin().request("POST", "/v1/roles", action=role)
    print(f'role "{name}" added')


def update_role(
    name: NameArgument,
    permissions: PermissionsArgument = None,
    cluster: ClusterOption = "",
    bucket: BucketOption = "",
    desc: DescriptionOption = "",
) -> None:
    """Change a role: what it gives in the cluster, or to the bucket, and nothing else of it. 0 gives nothing there."""
    client = _admin()
    was = msgspec.json.decode(client.request("GET", path_of("roles", name)).data, type=Role)
    role = {"name": name, "desc": desc, "admin": was.admin, **_rules(permissions or (), cluster, bucket)}
    client.request("PUT", path_of("roles", name), action=role)
    print(f'role "{name}" updated')


def remove_role(name: NameArgument, yes: YesOption = False) -> None:
    """Remove a role, also from its users."""
    if say.confirm(f'Proceed to remove role "{name}"?', yes=yes):
        _admin().request("DELETE", path_of("roles", name))
        print(f'role "{name}" removed')


def show_role(
    name: SomeNameArgument = "",
    cluster: ClusterOption = "",
    verbose: VerboseOption = False,
    no_headers: NoHeaderOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show roles; what they give, where one is named."""
    client = _admin()
    if name:
        found = [msgspec.json.decode(client.request("GET", path_of("roles", name)).data, type=Role)]
    else:
        query = {"cluster_id": cluster} if cluster else {}
        found = msgspec.json.decode(client.request("GET", "/v1/roles", query=query).data, type=list[Role])
    if as_json:
        print(text.document(found))
    elif name or verbose:
        for role in found:
            print(f"Name\t{role.name}\nDescription\t{role.desc or text.NOTHING}")
            _print_rules(client, role, has_header=not no_headers)
    else:
        rows = [(role.name, role.desc or text.NOTHING) for role in found]
        print(text.table(("ROLE", "DESCRIPTION"), rows, has_header=not no_headers))


# --- the cluster -----------------------------------------------------------------------------------------------------


def add_cluster(
    alias: Annotated[str, typer.Argument(metavar="ALIAS", show_default=False)] = "", urls: UrlsArgument = None
) -> None:
    """Register the server's cluster, which makes roles for it."""
    client = _admin()
    client.request("POST", "/v1/clusters", action={"alias": alias, "urls": urls or [connection.endpoint()]})
    (found,) = clusters_of(client)
    print(f'cluster "{found.alias or found.id}" added')


def update_cluster(
    name: NameArgument,
    urls: UrlsArgument = None,
    alias: Annotated[str, typer.Option("--alias", metavar="ALIAS", help="Another alias.", show_default=False)] = "",
) -> None:
    """Change the cluster's alias or URLs."""
    _admin().request("PUT", path_of("clusters", name), action={"alias": alias, "urls": urls or []})
    print(f'cluster "{name}" updated')


def remove_cluster(name: NameArgument, yes: YesOption = False) -> None:
    """Forget the cluster's registration. Roles stay."""
    if say.confirm(f'Proceed to unregister cluster "{name}"?', yes=yes):
        _admin().request("DELETE", path_of("clusters", name))
        print(f'cluster "{name}" removed')


def show_cluster(name: SomeNameArgument = "", no_headers: NoHeaderOption = False, as_json: JsonOption = False) -> None:
    """Show the registered cluster."""
    found = clusters_of(_admin(), name)
    if as_json:
        print(text.document(found))
        return
    rows = [(each.id, each.alias or text.NOTHING, ",".join(each.urls or ())) for each in found]
    print(text.table(("CLUSTER ID", "ALIAS", "URLs"), rows, has_header=not no_headers))


# --- the configuration -----------------------------------------------------------------------------------------------


def show_config(
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", show_default=False)] = "",
    no_headers: NoHeaderOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show how tokens are made."""
    answer = _admin().request("GET", "/v1/daemon").data
    tree = msgspec.json.decode(answer, type=dict[str, dict[str, str]])
    if as_json:
        print(text.document(tree))
        return
    flat = {f"{section}.{name}": value for section, values in tree.items() for name, value in values.items()}
    shown = {name: value for name, value in flat.items() if name.startswith(prefix)}
    if not shown:
        raise Failure(f'invalid property name "{prefix}"')
    print(text.properties(shown, has_header=not no_headers))


def set_config(
    words: Annotated[list[str], typer.Argument(metavar="KEY=VALUE", show_default=False)],
) -> None:
    """Set how long tokens live: auth.expiration_time=24h."""
    pairs = [words] if len(words) == 2 and "=" not in words[0] else [word.split("=", 1) for word in words]
    tree: dict[str, dict[str, str]] = {}
    for pair in pairs:
        section, dot, name = pair[0].partition(".")
        if len(pair) != 2 or not dot:
            raise Failure(f'invalid property name "{pair[0]}"', "auth.expiration_time=24h is what can be set")
        tree.setdefault(section, {})[name] = pair[1]
    _admin().request("PUT", "/v1/daemon", action=tree)
    print("config updated")


def _admin() -> Client:
    return connection.client_of(authn_url(), connection.token())


def _rules(permissions: Sequence[str], cluster: str, bucket: str) -> dict[str, object]:
    """The rule of a role that the command line says."""
    if not permissions:
        if cluster or bucket:
            raise Failure("no permissions: for instance ro, rw, or GET,LIST-OBJECTS")
        return {}
    words = [word for given in permissions for word in given.split(",")]
    # A number stands alone.
    bits = access.parse(words[0]) if len(words) == 1 else access.parse(words)
    if bucket:
        name = bucket_of(bucket)
        bck = {"name": name.name, "provider": name.provider, "namespace": {"uuid": cluster, "name": name.namespace}}
        return {"buckets": [{"bck": bck, "perm": str(int(bits))}]}
    if _FOR_BUCKETS & {word.lower() for word in words}:
        bits |= CLUSTER_READ_ONLY
    return {"clusters": [{"id": cluster, "perm": str(int(bits))}]}


def _print_rules(client: Client, rules: Rules, *, has_header: bool) -> None:
    if rules.admin:
        print("Full admin access")
    clusters, buckets = rules.merged()
    if clusters:
        aliases = {cluster.id: cluster.alias for cluster in clusters_of(client)}
        rows = [(each or "any", aliases.get(each) or text.NOTHING, spelt(perm)) for each, perm in clusters.items()]
        print(text.table(("CLUSTER ID", "ALIAS", "PERMISSIONS"), rows, has_header=has_header))
    if buckets:
        by_uri = [(bucket.uri, spelt(perm)) for bucket, perm in buckets.items()]
        print(text.table(("BUCKET", "PERMISSIONS"), by_uri, has_header=has_header))
