"""Blocks of code, with the quotes, backslashes and slashes that make cells hard to read."""

from __future__ import annotations

from votecast.data.simulation.dice import Dice

_BLOCKS = (
    r'''```python
import re


def count_{i}(path: str) -> int:
    """Count the lines of {w!r}."""
    with open(path) as file:
        return sum(bool(re.match(r"\d{{{i}}}\s+\w*", line)) for line in file)
```''',
    r"""```python
rows = [line.split("\t") for line in open('C:\\data\\part_{i}.txt')]
print(sorted(rows, key=lambda row: row[{i}])[:{j}])
```""",
    r"""```javascript
// see https://example.org/docs/{i}
const items = {{"{w}": {i}, "total": {j}}};
console.log(`${{items["total"] / {i}}}\n`);
```""",
    r"""```sql
SELECT name, COUNT(*) / {i}.0 AS share FROM items
WHERE note LIKE '%\_{j}%' GROUP BY name; -- {w}
```""",
    r"""```bash
grep -c "{w}" /var/log/part_{i}.log | awk '{{print $1 "/" {j}}}'
```""",
)


def code_block(word: str, dice: Dice) -> str:
    """A short fenced block of code that names the word.

    Example:
        >>> code_block("maps", Dice("example")).startswith("```")
        True
    """
    return dice.pick(_BLOCKS).format(w=word, i=2 + dice.below(97), j=2 + dice.below(97))
