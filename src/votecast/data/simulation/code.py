"""Blocks of code, with the quotes, backslashes and slashes that make cells hard to read."""

from __future__ import annotations

from votecast.data.simulation.dice import Dice

_BLOCKS = (
    '```python\nimport re\n\ndef count_{i}(path: str) -> int:\n    """Count the lines of {w!r}."""\n'
    '    with open(path) as file:\n        return sum(bool(re.match(r"\\d{{{i}}}\\s+\\w*", line)) for line in file)\n```',
    "```python\nrows = [line.split('\\t') for line in open('C:\\\\data\\\\part_{i}.txt')]\n"
    "print(sorted(rows, key=lambda row: row[{i}])[: {j}])\n```",
    '```javascript\n// see https://example.org/docs/{i}\nconst items = {{"{w}": {i}, "total": {j}}};\n'
    'console.log(`${{items["total"] / {i}}}\\n`);\n```',
    "```sql\nSELECT name, COUNT(*) / {i}.0 AS share FROM items\nWHERE note LIKE '%\\_{j}%' GROUP BY name;\n```",
    "```bash\ngrep -c \"{w}\" /var/log/part_{i}.log | awk '{{print $1 \"/\" {j}}}'\n```",
)


def code_block(word: str, dice: Dice) -> str:
    """A short fenced block of code that names the word."""
    return dice.pick(_BLOCKS).format(w=word, i=2 + dice.below(97), j=2 + dice.below(97))
