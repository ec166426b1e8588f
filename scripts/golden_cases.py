"""Cases of `golden.py`: command lines and small input files."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq

GAMES = [
    {"model_a": f"m{i % 4}", "model_b": f"m{i % 4 + 1 + i % 3}", "winner": ("a", "b", "tie", "a", "b")[i % 5]}
    for i in range(40)
]
"""Models and votes without texts."""
VOTES, TEXTS = ["model_a", "model_b", "tie", "model_a", "tie (bothbad)"], ("prompt", "response_a", "response_b")
QUICK = "simulate baseline neural combine rank evaluate bulk files formats service"


def sheet(rows: Sequence[Mapping[str, Any]], separator: str = ",") -> bytes:
    """Return rows as a CSV file."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=separator)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def lines(rows: Sequence[Any]) -> bytes:
    """Return rows as JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def make_files() -> dict[str, bytes]:
    """Return small unusual files in many formats by name."""
    texts = [
        "Sky?",
        "",
        "emoji 😀👩‍👧 עברית",
        'a\nb\r\n"c", d;\te',
        "NaN",
        "None",
        "null",
        "w " * 9000,
        " x\u2028y\x00z ",
    ]
    rows: list[dict[str, Any]] = [
        {"prompt": text, "response_a": f"{text} A", "response_b": texts[-i], "id": str(7 * i), "winner": VOTES[i % 3]}
        for i, text in enumerate(texts)
    ]
    few = [row | {"prompt": f"P{i}", "response_b": f"b {i}"} for i, row in enumerate(rows[:3])]
    winners = [{f"winner_{vote}": int(vote == row["winner"]) for vote in VOTES[:3]} for row in rows]
    turns = [{"id": row["id"]} | {key: json.dumps([row[key], "é"]) for key in TEXTS} for row in rows]
    lmsys = [row | won for row, won in zip(turns, winners, strict=True)]
    pairs = [{"prompt": row["prompt"], "chosen": row["response_a"], "rejected": row["response_b"]} for row in rows]
    arena: list[dict[str, Any]] = [
        {"question_id": i, "model_a": "m", "model_b": "n", "winner": VOTES[i % 5]}
        | {
            key.replace("response", "conversation"): [
                {"role": "user", "content": row["prompt"]},
                {"role": "assistant", "content": row[key]},
            ]
            for key in TEXTS[1:]
        }
        for i, row in enumerate(rows)
    ]
    speech = {"chosen": {"from": "gpt", "value": "Yes"}, "rejected": {"from": "gpt", "value": "no"}}
    speech["conversations"] = [{"from": "human", "value": "Hi"}]  # type: ignore[assignment]
    answers = ("a longer answer with reasons", "No.", "- one\n- two", "Yes.", "Because **that** is so.")
    plain, jsonl = sheet(few), lines(few)
    files = {
        "lmsys.csv": sheet(lmsys),
        "surrogate.csv": sheet([row | {"response_a": '["\\ud83d alone", null]'} for row in lmsys]),
        "python_lists.csv": sheet([row | {"prompt": str(json.loads(row["prompt"]))} for row in lmsys]),
        "turns_differ.csv": sheet([row | {"response_b": '["one"]'} for row in lmsys]),
        "two_winners.csv": sheet([row | {"winner_tie": 1} for row in lmsys]),
        "plain.csv": sheet(rows),
        "newlines.csv": sheet(rows[:4]),
        "words.csv": sheet(rows[4:8]),
        "plain.tsv": sheet(few, "\t"),
        "semicolon.csv": sheet(few, ";"),
        "bad_utf8.csv": plain.replace(b"P1", b"P\xff\xfe1"),
        "cr.csv": plain.replace(b"\r\n", b"\r"),
        "lf.csv": plain.replace(b"\r\n", b"\n"),
        "short_row.csv": plain + b"9,only\r\n",
        "long_row.csv": plain + b"p,a,b,9,model_a,too,many\r\n",
        "open_quote.csv": plain + b'p,a,"open,9,model_a\r\n',
        "header_only.csv": plain.split(b"P0")[0],
        "empty.csv": b"",
        "unknown_columns.csv": b"x,y\r\n1,2\r\n",
        "duplicate_ids.csv": sheet([row | {"id": "1"} for row in few]),
        "duplicate_columns.csv": plain.replace(b"response_b", b"response_a"),
        "other_winner.csv": sheet([row | {"winner": "who"} for row in few]),
        "no_ids.csv": sheet([{key: row[key] for key in TEXTS} for row in few]),
        "float_ids.csv": sheet([row | {"id": f"{i}.0"} for i, row in enumerate(few)]),
        "wsdm.csv": sheet([row | {"winner": VOTES[i % 2], "language": "English"} for i, row in enumerate(few)]),
        "plain.csv.gz": gzip.compress(sheet(rows)),
        "truncated.csv.gz": gzip.compress(plain)[:-20],
        "no_gzip.csv.gz": plain,
        "no_parquet.parquet": jsonl,
        "rows.jsonl.zst": pa.compress(lines(rows), codec="zstd", asbytes=True),
        "columns.json": json.dumps({key: {str(i): row[key] for i, row in enumerate(few)} for key in few[0]}).encode(),
        "split.json": json.dumps({"columns": list(few[0]), "data": [list(row.values()) for row in few]}).encode(),
        "truncated.json": json.dumps(rows).encode()[:-30],
        "blank_lines.jsonl": jsonl.replace(b"\n", b"\n\n"),
        "bad_line.jsonl": jsonl + b"{no json\n" + jsonl.replace(b'"id": "', b'"id": "1'),
        "numbers.jsonl": lines([row | {"prompt": 3, "response_a": 1.5, "response_b": True} for row in few]),
        "nulls.jsonl": lines([row | {"response_a": None, "winner": None} for row in few]),
        "repeated_keys.jsonl": b'{"prompt": "p", "prompt": "q", "response_a": "a", "response_b": "b"}\n',
        "deep.jsonl": b'{"prompt": ' + b"[" * 3000 + b"]" * 3000 + b', "response_a": "a", "response_b": "b"}\n',
        "soft.jsonl": lines([row | {"winner": None, "probabilities": [0.5, 0.3, 0.2], "weight": 1.5} for row in few]),
        "chats.jsonl": lines([{"chosen": a["conversation_a"], "rejected": a["conversation_b"]} for a in arena]),
        "from_value.jsonl": lines([speech, speech]),
        "rewardbench.jsonl": lines([p | {"chosen_model": "m", "rejected_model": "n", "subset": "s"} for p in pairs]),
        "mtbench.jsonl": lines([row | {"judge": "expert", "turn": 1 + i % 2} for i, row in enumerate(arena)]),
        "games.jsonl": lines([game | {"winner": VOTES[i % 5]} for i, game in enumerate(GAMES)] * 5),
        "candidates.jsonl": lines([{"prompt": f"Q{i}?", "candidates": answers[: 2 + i % 4]} for i in range(12)]),
    }
    for code in ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "gb18030"):
        files[f"{code}.csv"] = sheet([row | {"prompt": "é ü –"} for row in few]).decode().encode(code, "replace")
    for name, some in {"rows": rows, "arena": arena, "pairs": pairs}.items():
        pq.write_table(pa.json.read_json(pa.BufferReader(lines(some))), sink := pa.BufferOutputStream())
        files |= {f"{name}.jsonl": lines(some), f"{name}.json": json.dumps(some, indent=1).encode()}
        files |= {f"{name}.parquet": sink.getvalue().to_pybytes()}
    return files


TINY = "--small --rows 64 --model.training.batch_size 8 --train votes.csv"
SMALL = "baseline --small --model.trees.rounds 20 --train votes.csv"
START = f"""simulate --rows 400 --seed 5 --out votes.csv
        simulate --rows 200 --seed 6 --out new.csv
        train {SMALL} --out one"""
SCRIPTS = {
    "simulate": """
        simulate --rows 300 --seed 11 --out votes.csv
        simulate --rows 100 --seed 4 --start 50 --no-votes --out test.csv""",
    "baseline": """
        simulate --rows 300 --seed 11 --out votes.csv
        ask bundled:baseline votes.csv
        predict --input votes.csv --out {votecast|lmsys|wsdm}.csv --format {}
        predict --input votes.csv --out p.{parquet|jsonl|arrow}
        compare --prompt Hi --prompt 'And then?' --a A --a '- x' --b B --b ''""",
    "encoder": """
        simulate --rows 300 --seed 11 --out votes.csv
        ask bundled:encoder votes.csv
        predict --judge bundled:encoder --input votes.csv --limit 40 --out p.csv""",
    "neural": """
        simulate --rows {70|8} --seed 11 --start {} --out votes{}.csv
        ask bundled:encoder votes8.csv
        train cross_encoder --small --rows 48 --model.training.batch_size 8 --train votes70.csv --out judge
        ask judge votes8.csv
        score --model recipe:internlm2_reward --small --input votes70.csv --out s.csv
        link --scores s.csv --votes votes70.csv --out link
        ask link votes8.csv""",
    "train": """
        simulate --rows {2000|200} --seed 3 --start {} --out votes{}.csv
        train baseline --small --train votes2000.csv --out judge
        predict --judge judge --input votes200.csv --out p.csv""",
    "train_settings": f"""
        {START}
        train {SMALL} --out average --final average --calibration.method isotonic --folds.n 3
        train {SMALL} --out stratified --folds.method stratified --calibration.method vector --seed 7
        train {SMALL} --out modulo --folds.method modulo --calibration.method matrix
        train {SMALL} --out single --folds.method single --calibration.method tie_link
        train {SMALL} --out cleaned --cleaning.duplicates all --calibration.method dirichlet --rows 300
        train {SMALL} --out again --folds-from average
        train {SMALL} --out fold --fold 1
        train {SMALL} --out wrong --folds.n 1
        ask {{average|stratified|modulo|single|cleaned|again|fold}} new.csv""",
    "combine": f"""
        {START}
        train {SMALL} --seed 9 --out two
        simulate --rows 200 --seed 7 --out third.csv
        ensemble one two --method {{mean|weights|greedy|stack}} --out {{}}
        ensemble one two --input third.csv --out held
        calibrate --judge one --input third.csv --limit 100 --out shift
        calibrate --judge one --input third.csv --by language --draws 200 --out auto
        calibrate --judge one --method {{vector|matrix|isotonic|dirichlet|tie_link|none}} --draws 0 --out own_{{}}
        make_cascade bundled:baseline one third.csv cascade
        ask {{mean|weights|greedy|stack|held|shift|auto|own_matrix|cascade}} new.csv
        decide --judge one --input new.csv --calibration third.csv --error .5 --method {{ltt|sgr}} --out {{}}.csv""",
    "rank": """
        simulate --rows {1200|400} --start {} --out votes{}.csv
        rank --input votes1200.csv --min-battles 70 --out plain.csv --html plain.html
        rank --judge bundled:baseline --pairs votes400.csv --disconnected largest --out predicted.csv
        rank --input votes1200.csv --judge bundled:baseline --pairs votes400.csv --min-battles 70 --out both.csv
        rank --input votes1200.csv --min-battles 70 --style-control --out style.csv
        rank --input votes1200.csv --min-battles 70 --intervals bootstrap --draws 40 --anchor dune-1b --out boot.csv
        rank --input votes1200.csv --min-battles 70 --draws 20 --method {davidson|rao_kupper|elo|newman|eigen}
        rank --input votes1200.csv --min-battles 70 --draws 20 --method {pagerank|counting|average_win_rate}
        make games.jsonl
        rank --input games.jsonl --both-bad {tie|drop|own}""",
    "evaluate": f"""
        {START}
        predict --judge one --input new.csv --out p.csv
        evaluate --judge one --input new.csv --draws 200 --truth new.truth.parquet
        evaluate --predictions p.csv --input new.csv --draws 200
        evaluate --judge one --input new.csv --draws 200 --against bundled:baseline --no-slices
        evaluate --judge one --input votes.csv
        evaluate --judge one --input votes.csv --allow-leak --draws 0
        report --input votes.csv --out votes.html
        report --judge one --input new.csv --draws 50 --out judge.html
        report --predictions p.csv --input new.csv --draws 50 --out file.html""",
    "reward": """
        simulate --rows {80|20} --seed 5 --start {} --out votes{}.csv
        score --model recipe:internlm2_reward --small --input votes80.csv --out s.csv
        link --scores s.csv --votes votes80.csv --method {davidson|rao_kupper|ordered_logit|fixed} --out {}
        link --scores s.csv --votes votes80.csv --{length|bare} --out {}
        ask {davidson|fixed|length} votes20.csv
        predict --judge recipe:internlm2_reward --small --input votes20.csv --out unvoted.csv""",
    "bulk": """
        simulate --rows 1300 --seed {20|21} --no-votes --out pairs{}.csv
        predict --input 'pairs*.csv' --part-rows 1024 --out whole/
        kill **/part-*.parquet predict --input 'pairs*.csv' --part-rows 1024 --out killed/
        predict --input 'pairs*.csv' --part-rows 1024 --out killed/ --resume
        predict --input pairs20.csv pairs21.csv --limit 700 --out two/""",
    "ray": """
        simulate --rows 1100 --seed 20 --no-votes --out pairs.csv
        predict --input pairs.csv --part-rows 1024 --out local/
        predict --input pairs.csv --part-rows 1024 --out ray/ --engine ray --num-actors 1""",
    "files": """
        simulate --rows 200 --seed 5 --out votes.csv
        inspect votes.csv
        convert votes.csv v.{jsonl|parquet|arrow|csv} --format votecast
        make wsdm.csv
        convert {votes|wsdm}.csv w.{}.csv --format wsdm
        convert votes.csv l.parquet --format lmsys
        convert {v.parquet|v.arrow|v.csv|l.parquet} {}.back.jsonl
        convert votes.csv sampled.jsonl --sample 0.2 --seed 3
        make candidates.jsonl
        rerank --input candidates.jsonl --all --out best.jsonl
        rerank --input candidates.jsonl --top 2 --out best.parquet
        recipes""",
    "formats": """
        make FILES
        convert FILES {}.out.jsonl
        predict --input FILES --out {}.out.csv
        convert FILES {}.kept.jsonl --bad-rows quarantine --quarantine {}.bad.jsonl
        ask default FILES
        stdin rows.jsonl predict --input - --out piped.csv""".replace("FILES", f"{{{'|'.join(make_files())}}}"),
    "neural_tools": f"""
        simulate --rows 100 --seed 3 --out votes.csv
        train gemma2_9b_qlora {TINY} --out judge
        merge --judge judge --out merged
        train cross_encoder {TINY} --out whole
        kill .killed.work/**/*.safetensors train cross_encoder {TINY} --out killed
        train cross_encoder {TINY} --out killed --resume
        ask {{judge|merged|whole|killed}} votes.csv
        predict --judge whole --input votes.csv --precision {{bf16|int8}} --out {{}}.csv
        calibrate --judge whole --method vector --out calibrated
        import whole/members/0 whole/members/1 --labels a,b,tie --max-length 128 --out imported
        ask imported votes.csv
        export --judge whole --out onnx""",
}
RECIPES = "cross_encoder deberta_v3_large gemma2_9b_qlora internlm2_reward llama31_8b_lora minilm siamese"
SCRIPTS |= {
    f"recipe_{name}": f"""
        simulate --rows 200 --seed 3 --out votes.csv
        train {name} {TINY.replace("64", "160") if "reward" in name else TINY} --out judge
        predict --judge judge --input votes.csv --limit 16 --out p.csv"""
    for name in f"{RECIPES} siamese_keras smollm2_lora smollm2_reward".split()
}
"""Lines of words after `votecast`; {x|y} repeats a line for x and for y, and {} repeats the choice.

A few first words are no verbs: `ask JUDGE FILE` predicts in Python, `make FILE` writes a file of `make_files`,
`make_cascade JUDGES FILE OUT` makes a cascade with known seconds, `stdin FILE COMMAND` pipes a file into a command, and
`kill GLOB COMMAND` kills a command as soon as a file is there.
"""
