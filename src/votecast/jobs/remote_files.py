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
from typing import Final
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
        """Parse a path, which begins in the working folder, or a URL, which must not hold a secret."""
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

    @contextlib.contextmanager
    def reached(self) -> Iterator[tuple[fs.FileSystem, str]]:
        """Provide the filesystem and the path on it; errors inside the block become OSError.

        Raises:
            ConfigError: If there is no filesystem of this kind.
            OSError: If it cannot be reached, or refuses.
        """
        try:
            if self.path is not None:
                yield fs.LocalFileSystem(), str(self.path)
                return
            bare, mark, query = self.where.partition("?")
            folder, _, name = bare.rpartition("/")
            if folder.endswith("/"):  # s3://bucket
                yield _filesystem(self.where)
                return
            # by the URL of the folder, so that all files in it share one cached connection
            system, path = _filesystem(folder + mark + query)
            yield system, f"{path.rstrip('/')}/{unquote(name)}"
        except pa.ArrowException as error:
            raise OSError(str(error)) from error

    def info(self) -> fs.FileInfo:
        """Return type, size and time of what is there."""
        with self.reached() as (system, path):
            return system.get_file_info([path])[0]

    @property
    def is_file(self) -> bool:
        """Whether it is a file that exists."""
        return bool(self.info().type == fs.FileType.File)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder that exists."""
        return bool(self.info().type == fs.FileType.Directory)

    def names(self) -> list[str]:
        """List the names in a folder, sorted; none where there is no folder."""
        if not self.is_folder:
            return []
        with self.reached() as (system, path):
            return sorted(info.base_name for info in system.get_file_info(fs.FileSelector(path)))

    def read(self) -> bytes:
        """Read all bytes of a small file."""
        with self.reached() as (system, path), system.open_input_stream(path, compression=None) as file:
            return bytes(file.read())

    def write(self, data: bytes) -> None:
        """Write a small file atomically; raise ArtifactError for this machine, OSError for another filesystem."""
        if self.path is not None:
            with atomic_file(self.path, overwrite=True) as part:
                part.write_bytes(data)
            return
        with self.reached() as (system, path):
            # object stores show a file once it is whole; on others a rename does that
            if system.type_name in _ATOMIC_STORES:
                with system.open_output_stream(path, compression=None) as file:
                    file.write(data)
                return
            folder, _, name = path.rpartition("/")
            part_path = f"{folder}/.{name}.part.{uuid4().hex}"
            system.create_dir(folder or "/", recursive=True)
            with system.open_output_stream(part_path, compression=None) as file:
                file.write(data)
            system.move(part_path, path)

    def remove(self) -> None:
        """Remove a file or a folder, if it is there."""
        with self.reached() as (system, path):
            kind = system.get_file_info([path])[0].type
            if kind == fs.FileType.Directory:
                system.delete_dir(path)
            elif kind == fs.FileType.File:
                system.delete_file(path)

    @contextlib.contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        """Provide the file on this machine during the block; a copy of a remote one."""
        if self.path is not None:
            yield self.path
            return
        with tempfile.TemporaryDirectory(prefix="votecast-") as folder:
            copy = Path(folder) / name.partition("?")[0].rpartition("/")[2]
            try:
                with (
                    self.reached() as (system, path),
                    system.open_input_stream(path, compression=None) as source,
                    copy.open("wb") as target,
                ):
                    shutil.copyfileobj(source, target, _CHUNK)
            except OSError as error:
                raise DataError(f"{name} could not be fetched to {folder}: {error}; check the address") from error
            yield copy


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
    if "://" in given and _SECRET.search(given):
        raise ConfigError(
            f"the URL {given.partition('://')[0]}://... holds a password or key, and URLs are written to manifests and "
            "messages; give secrets in the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            "GOOGLE_APPLICATION_CREDENTIALS, AZURE_CLIENT_SECRET) or in a profile of the machine"
        )


@functools.lru_cache(maxsize=64)
def _filesystem(url: str) -> tuple[fs.FileSystem, str]:
    try:
        system, path = fs.FileSystem.from_uri(url)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise ConfigError(
            f"{url} is not on a filesystem that can be reached: {error}; allowed are paths, file://, s3://, gs://, "
            "abfs:// and hdfs:// as far as pyarrow was built with them"
        ) from error
    return system, path
