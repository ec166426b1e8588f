"""Frozen settings and their description, optional packages, and the process and machine that votecast runs on."""

from votecast.config.launch import Launch, check_launch, current_launch, leaves_gpus
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
    "check_launch",
    "current_launch",
    "leaves_gpus",
    "merge_settings",
    "nest_overrides",
    "read_yaml",
    "user_settings",
]
