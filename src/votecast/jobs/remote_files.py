"""Read and write files on this machine, or at a URL that pyarrow's filesystems reach.

`predict_folder` and its inputs use it.
"""

from __future__ import annotations

import contextlib
import functools
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import pyarrow as pa
from pyarrow import fs

from votecast.artifacts import atomic_file
from votecast.errors import ConfigError, DataError

_ATOMIC_STORES: Final = ("s3", "gcs", "abfs")
"""Object stores, where a file appears only once it is whole."""
_CHUNK: Final = 8 << 20
_SECRET: Final = re.compile(
    r"://[^/@:]*:(?!\d+/)[^@]*@|[?&][^=&]*(?:secret|token|password|signature|credential|key|\bsig)[^=&]*=",
    re.IGNORECASE,
)
"""Where a URL holds a password, or an option that is one; a port is none."""


@dataclass(frozen=True)
class Stat:
    """Size and time of a file.

    Args:
        size: Bytes.
        changed: When it was last written, in nanoseconds; 0 where unknown.
    """

    size: int
    changed: int


@dataclass(frozen=True)
class FilePlace:
    """A file or a folder, local or remote.

    Args:
        where: An absolute path, or a URL.

    Example:
        >>> FilePlace.of("s3://votes/out/?region=eu-west-1") / "manifest.json"
        FilePlace(where='s3://votes/out/manifest.json?region=eu-west-1')
        >>> FilePlace.of("file:///tmp/votes.csv").path
        PosixPath('/tmp/votes.csv')
    """

    where: str

    @classmethod
    def of(cls, given: str) -> FilePlace:
        """Parse a path or a URL; a relative path begins in the working folder.

        Raises:
            ConfigError: If the URL holds a secret.
        """
        refuse_secrets(given)
        if given.startswith("file://"):
            return cls(str(Path(unquote(urlsplit(given).path)).absolute()))
        if is_url(given):
            folder, mark, query = given.partition("?")
            return cls(folder.rstrip("/") + mark + query)
        return cls(str(Path(given).expanduser().absolute()))

    @property
    def path(self) -> Path | None:
        """The path, if it is on this machine."""
        return None if is_url(self.where) else Path(self.where)

    def __truediv__(self, name: str) -> FilePlace:
        folder, mark, query = self.where.partition("?") if is_url(self.where) else (self.where, "", "")
        return FilePlace(f"{folder.rstrip('/')}/{name}{mark}{query}")

    def __str__(self) -> str:
        return self.where

    def stat(self) -> Stat | None:
        """Return size and time of a file; None where there is no file.

        Raises:
            OSError: If the filesystem refuses.
        """
        if self.path is not None:
            try:
                found = self.path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
            return Stat(found.st_size, found.st_mtime_ns) if self.path.is_file() else None
        with _arrow_errors():
            system, path = reach(self)
            (info,) = system.get_file_info([path])
        return Stat(info.size, info.mtime_ns or 0) if info.type == fs.FileType.File else None

    def is_folder(self) -> bool:
        """Return whether it is a folder that exists.

        Raises:
            OSError: If the filesystem refuses.
        """
        if self.path is not None:
            return self.path.is_dir()
        with _arrow_errors():
            system, path = reach(self)
            (info,) = system.get_file_info([path])
        return bool(info.type == fs.FileType.Directory)

    def names(self) -> list[str]:
        """List the names in a folder, sorted; none where there is no folder.

        Raises:
            OSError: If the filesystem refuses.
        """
        if self.path is not None:
            return sorted(each.name for each in self.path.iterdir()) if self.path.is_dir() else []
        with _arrow_errors():
            system, path = reach(self)
            found = system.get_file_info(fs.FileSelector(path, allow_not_found=True))
        return sorted(info.base_name for info in found)

    def read(self) -> bytes:
        """Read all bytes of a small file.

        Raises:
            OSError: If it cannot be read.
        """
        if self.path is not None:
            return self.path.read_bytes()
        with _arrow_errors():
            system, path = reach(self)
            with system.open_input_stream(path) as file:
                return bytes(file.read())

    def write(self, data: bytes) -> None:
        """Write a small file atomically.

        Raises:
            ArtifactError: If the disk of this machine refuses.
            OSError: If another filesystem does.
        """
        if self.path is not None:
            with atomic_file(self.path, overwrite=True) as part:
                part.write_bytes(data)
            return
        with _arrow_errors():
            system, path = reach(self)
            at_once = system.type_name in _ATOMIC_STORES
            folder, _, name = path.rpartition("/")
            part_path = path if at_once else f"{folder}/.{name}.part.{uuid4().hex}"
            if not at_once:
                system.create_dir(folder or "/", recursive=True)
            with system.open_output_stream(part_path) as file:
                file.write(data)
            if not at_once:
                system.move(part_path, path)

    def remove(self) -> None:
        """Remove a file or a folder, if it is there.

        Raises:
            OSError: If the filesystem refuses.
        """
        if self.path is not None:
            if self.path.is_dir() and not self.path.is_symlink():
                shutil.rmtree(self.path)
            else:
                self.path.unlink(missing_ok=True)
            return
        with _arrow_errors():
            system, path = reach(self)
            (info,) = system.get_file_info([path])
            if info.type == fs.FileType.Directory:
                system.delete_dir(path)
            elif info.type == fs.FileType.File:
                system.delete_file(path)

    @contextlib.contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        """Provide the file on this machine during the block; a copy of a remote one.

        Raises:
            DataError: If it cannot be fetched.
        """
        if self.path is not None:
            yield self.path
            return
        with tempfile.TemporaryDirectory(prefix="votecast-") as folder:
            copy = Path(folder) / name.partition("?")[0].rpartition("/")[2]
            try:
                self._copy(copy)
            except OSError as error:
                raise DataError(f"{name} could not be fetched to {folder}: {error}; check the address") from error
            yield copy

    def _copy(self, copy: Path) -> None:
        with _arrow_errors():
            system, path = reach(self)
            with system.open_input_stream(path) as source, copy.open("wb") as target:
                while chunk := source.read(_CHUNK):
                    target.write(chunk)


def is_url(given: str) -> bool:
    """Return whether this is a URL rather than a path.

    Example:
        >>> is_url("s3://votes/pairs.parquet"), is_url("pairs.parquet")
        (True, False)
    """
    return "://" in given


def refuse_secrets(given: str) -> None:
    """Refuse a URL that holds a secret: URLs are written to manifests, logs and errors.

    Raises:
        ConfigError: If it does; the message does not repeat it.
    """
    if is_url(given) and _SECRET.search(given):
        raise ConfigError(
            f"the URL {given.partition('://')[0]}://... holds a password or key, and URLs are written to manifests and "
            "messages; give secrets in the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            "GOOGLE_APPLICATION_CREDENTIALS, AZURE_CLIENT_SECRET) or in a profile of the machine"
        )


def reach(place: FilePlace) -> tuple[Any, str]:
    """Return the filesystem of a URL, and the path on it.

    Raises:
        ConfigError: If there is no filesystem of this kind.
        OSError: If it cannot be reached.
    """
    bare, mark, query = place.where.partition("?")
    folder, _, name = bare.rpartition("/")
    if folder.endswith("/"):  # s3://bucket
        return _system(place.where)
    system, path = _system(folder + mark + query)
    return system, f"{path.rstrip('/')}/{unquote(name)}"


@functools.lru_cache(maxsize=64)
def _system(url: str) -> tuple[Any, str]:
    try:
        system, path = fs.FileSystem.from_uri(url)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise ConfigError(
            f"{url} is not on a filesystem that can be reached: {error}; allowed are paths, file://, s3://, gs://, "
            "abfs:// and hdfs:// as far as pyarrow was built with them"
        ) from error
    return system, path


@contextlib.contextmanager
def _arrow_errors() -> Iterator[None]:
    """Raise errors of pyarrow's filesystems as OSError."""
    try:
        yield
    except pa.ArrowException as error:
        raise OSError(str(error)) from error
