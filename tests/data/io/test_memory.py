"""Test that memory does not grow with the number of rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")

CHILD = """
import sys
from pathlib import Path
from votecast.data.io import open_table

def peak():
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024

before = peak()
rows = 0
with open_table(sys.argv[1]) as stream:
    for batch in stream:
        rows += batch.table.num_rows
print(rows, peak() - before)
"""
ROWS = 64_000
TEXT = 'a word, "quoted" and more ' * 120


def build(path: Path) -> None:
    """Write about 200 MB of text in pieces."""
    cells = {"id": [str(i) for i in range(1000)], "text": [TEXT] * 1000}
    table = pa.table(cells)
    if path.suffix == ".parquet":
        with pq.ParquetWriter(path, table.schema, compression="none", use_dictionary=False) as writer:
            for _ in range(ROWS // 32_000):
                writer.write_table(pa.concat_tables([table] * 32))
        return
    if path.suffix == ".arrow":
        with pa.ipc.new_file(path, table.schema) as writer:
            for _ in range(ROWS // 1000):
                writer.write_table(table)
        return
    quoted = TEXT.replace('"', '""')
    row = f'1,"{quoted}"\n' if path.suffix == ".csv" else json.dumps({"id": "1", "text": TEXT}) + "\n"
    with path.open("w") as file:
        file.write("id,text\n" if path.suffix == ".csv" else "")
        for _ in range(ROWS // 1000):
            file.write(row * 1000)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet", ".arrow"])
def test_two_hundred_megabytes_take_less_than_sixty_four(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"large{suffix}"
    build(path)
    child = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=True)
    rows, grown = child.stdout.split()
    assert int(rows) == ROWS
    assert float(grown) < 64
    path.unlink()
