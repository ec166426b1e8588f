"""Frozen settings and their description, optional packages, and the process and machine that votecast runs on."""

from votecast.config.launch import Launch, current_launch
from votecast.config.settings import (
    Settings,
    UserSettings,
    merge_settings,
    nest_overrides,
    read_yaml,
    user_settings,
)

__all__ = [
    "Launch",
    "Settings",
    "UserSettings",
    "current_launch",
    "merge_settings",
    "nest_overrides",
    "read_yaml",
    "user_settings",
]
