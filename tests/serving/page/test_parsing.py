import csv
import io
import random
from collections.abc import Callable

from tests.serving.page.visit import Visit

Open = Callable[..., Visit]

READ = """async ([texts, size]) => {
    const { CsvReader } = await import("/static/csv.js");
    return texts.map((text) => {
        const reader = new CsvReader();
        const rows = [];
        for (let from = 0; from < text.length; from += size) rows.push(...reader.push(text.slice(from, from + size)));
        return [...rows, ...reader.end()];
    });
}"""
PREDICT = """async ([file, parallel]) => {
    const { LIMITS, predictAll } = await import("/static/batches.js");
    const { readFile } = await import("/static/reading.js");
    const { rows } = await readFile(new File([file], "x.csv"), () => {});
    let now = 0, most = 0, large = 0;
    const real = window.fetch;
    window.fetch = async (path, options) => {
        most = Math.max(most, ++now);
        large = Math.max(large, JSON.parse(options.body).battles.length);
        try { return await real(path, options); } finally { now -= 1; }
    };
    const on = { done: () => {}, failed: () => {}, judged: () => {}, waiting: () => {} };
    await predictAll(rows, null, on, new AbortController().signal);
    return [most, large];
}"""


def written(rows: list[list[str]], quoting: int, end: str) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator=end, quoting=quoting).writerows(rows)
    return out.getvalue()


def test_csv_is_read_as_python_reads_it_however_it_is_cut(visit: Open) -> None:
    draw = random.Random(0)
    pieces = ['"', '""', ",", "\n", "\r\n", "\r", "a", "é", "😀", " ", "[1]", "{}"]
    tables, texts = [], []
    for _ in range(60):
        cells = [
            ["".join(draw.choices(pieces, k=draw.randint(0, 6))) for _ in range(3)] for _ in range(draw.randint(1, 5))
        ]
        table = [["x", "y", "z"], *cells]
        tables.append(table)
        bare = any("\r" in cell for row in cells for cell in row)  # which Python leaves bare before a line feed
        quoting = csv.QUOTE_ALL if bare else draw.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
        texts.append(written(table, quoting, draw.choice(["\n", "\r\n"])))
    tables.append([["x", "y"], ["1", "2"], ["3", "4"]])
    texts.append("x,y\r1,2\r\r\n\n3,4")
    page = visit()
    for size in (1, 2, 3, 7, 10_000):
        assert page.page.evaluate(READ, [texts, size]) == tables


def test_quotes_after_the_end_of_a_quoted_cell_are_read_as_python_reads_them(visit: Open) -> None:
    texts = ['x,y\n"abc"d"e,f\n', 'x,y\n"abc"d"e",f\n', 'x,y\n""a"b",""""\n']
    expected = [list(csv.reader(io.StringIO(text, newline=""))) for text in texts]
    page = visit()
    for size in (1, 100):
        assert page.page.evaluate(READ, [texts, size]) == expected


def test_semicolons_and_tabs_are_detected_in_the_first_row(visit: Open) -> None:
    texts = ['a;b\n1,5;"x;y"\n', "a\tb\n1,5\tx\n", '"a,b";c\n1;2\n']
    expected = [[["a", "b"], ["1,5", "x;y"]], [["a", "b"], ["1,5", "x"]], [["a,b", "c"], ["1", "2"]]]
    assert visit().page.evaluate(READ, [texts, 4]) == expected


def test_a_few_batches_of_at_most_32_are_on_their_way(visit: Open) -> None:
    rows = "\n".join(f"Why {i}?,a{i},b" for i in range(300))
    most, large = visit().page.evaluate(PREDICT, [f"prompt,response_a,response_b\n{rows}", 4])
    assert 1 < most <= 4 and large == 32
