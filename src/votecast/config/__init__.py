"""Frozen settings, optional packages, and what this process runs on; every package above reads them here."""

from votecast.config.settings import (
    Launch,
    Settings,
    UserSettings,
    dotted,
    launched,
    merge,
    read_yaml,
    user_settings,
)

__all__ = ["Launch", "Settings", "UserSettings", "dotted", "launched", "merge", "read_yaml", "user_settings"]
