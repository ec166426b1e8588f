"""What to say about bytes that are not the text they should be."""

from __future__ import annotations


def encoding_problem(data: bytes, error: UnicodeDecodeError) -> str:
    r"""Say which byte is not UTF-8 and what to do about it.

    Example:
        >>> try:
        ...     b"caf\xe9".decode()
        ... except UnicodeDecodeError as error:
        ...     encoding_problem(b"caf\xe9", error)[:70]
        'byte 0xe9 is not UTF-8, the only encoding allowed; the file is probabl'
    """
    return (
        f"byte 0x{data[error.start]:02x} is not UTF-8, the only encoding allowed; the file is probably in Windows-1252 "
        "or Latin-1 (for example: iconv -f WINDOWS-1252 -t UTF-8) or damaged here"
    )
