"""Write files and folders atomically; write and check judge folders and the hashed folders of resumable runs.

Every package that writes an output calls this one; nothing else creates temporary names or calls fsync on outputs.
"""

from votecast.artifacts.atomic_outputs import (
    CONFIG_NAME,
    KIND,
    atomic_file,
    atomic_folder,
    check_free,
    remove_leftovers,
    settings_path,
)
from votecast.artifacts.hashed_folders import (
    CARD_NAME,
    DAMAGE,
    SAFE_SUFFIXES,
    Folder,
    is_whole,
    open_folder,
    read_folder,
    write_folder,
    write_part,
)
from votecast.artifacts.regular_files import check_text_files, digest_of, read_json, read_limited

__all__ = [
    "CARD_NAME",
    "CONFIG_NAME",
    "DAMAGE",
    "KIND",
    "SAFE_SUFFIXES",
    "Folder",
    "atomic_file",
    "atomic_folder",
    "check_free",
    "check_text_files",
    "digest_of",
    "is_whole",
    "open_folder",
    "read_folder",
    "read_json",
    "read_limited",
    "remove_leftovers",
    "settings_path",
    "write_folder",
    "write_part",
]
