"""``ais auth``: logging in and out, who one is, and for administrators users, roles and the cluster they are about.

Requests go to ``AIS_AUTHN_URL`` if that is set, and to the server otherwise.
"""

from __future__ import annotations

from tidegate.cli.ais import accounts, session
from tidegate.cli.ais.grammar import group

auth = group("Log in and out; manage users, roles and tokens.")
_add = group("Add users, roles and the cluster.")
_update = group("Change users, roles and the cluster.")
_set = group("Change users, roles, the cluster and the configuration.")
_rm = group("Remove users, roles, the cluster's registration and tokens.")
_show = group("Show users, roles, the cluster and the configuration.")

auth.command("login")(session.login)
auth.command("logout")(session.logout)
auth.command("whoami")(session.whoami)
for _commands in (_update, _set):
    _commands.command("user")(accounts.update_user)
    _commands.command("role")(accounts.update_role)
    _commands.command("cluster")(accounts.update_cluster)
_add.command("user")(accounts.add_user)
_add.command("role")(accounts.add_role)
_add.command("cluster")(accounts.add_cluster)
_set.command("config")(accounts.set_config)
_rm.command("user")(accounts.remove_user)
_rm.command("role")(accounts.remove_role)
_rm.command("cluster")(accounts.remove_cluster)
_rm.command("token")(session.remove_token)
_show.command("user")(accounts.show_user)
_show.command("role")(accounts.show_role)
_show.command("cluster")(accounts.show_cluster)
_show.command("config")(accounts.show_config)
auth.add_typer(_add, name="add")
auth.add_typer(_update, name="update")
auth.add_typer(_set, name="set")
auth.add_typer(_rm, name="rm")
auth.add_typer(_show, name="show")
