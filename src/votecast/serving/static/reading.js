// From a file to pairs of answers, in the browser, piece by piece, so that the page stays responsive.

import { CsvRecords, FileError, LineRecords } from "./csv.js";
import { count, size } from "./words.js";

export const MOST_ROWS = 10_000;
const MOST_BYTES = 500_000_000;
const TEXTS = ["prompt", "response_a", "response_b"];
const ONE_HOT = ["winner_model_a", "winner_model_b", "winner_tie"];
const WINNERS = new Map([
  ...["a", "modela", "responsea", "answera", "assistanta", "a>b", "a>>b", "leftvote", "model1", "response1", "answer1", "assistant1", "output1"].map((name) => [name, "a"]),
  ...["b", "modelb", "responseb", "answerb", "assistantb", "b>a", "b>>a", "rightvote", "model2", "response2", "answer2", "assistant2", "output2"].map((name) => [name, "b"]),
  ...["tie", "draw", "a=b", "tievote", "tie(inconsistent)", "tie(bothgood)", "bothgood", "bothbad", "tie(bothbad)", "bothbadvote"].map((name) => [name, "tie"]),
  ...["", "none", "null", "nan", "na", "n/a", "<na>"].map((name) => [name, null]),
]);
const HEAD = 100;
const BREATH = 40;
const PIECE = 1 << 18;

/**
 * Read a file.
 * @param {File} file
 * @param {function(number): void} report Called with the share that is read.
 * @param {AbortSignal} signal
 * @returns {Promise<{rows: object[], failed: object[], votes: number, unreadVotes: number, models: boolean}>} rows have a
 *   battle, and where they are known a vote and models; failed ones have a reason.
 */
export async function readFile(file, report, signal) {
  if (file.size === 0) throw new FileError(`${file.name} is empty. Choose a file with a row of column names and a row for each pair.`);
  if (file.size > MOST_BYTES) throw new FileError(`${file.name} is ${size(file.size)} long; this page reads ${size(MOST_BYTES)}. Split it, or use votecast predict, which knows no limit.`);
  const records = [];
  const rest = rester(signal);
  let reader = null;
  let seen = 0;
  for await (const piece of pieces(file, signal)) {
    seen += piece.bytes;
    if (piece.text.includes("\0")) throw binary(file);
    reader ??= readerFor(piece.text, file);
    if (reader) collect(reader.push(piece.text), records, file);
    await rest(() => report(seen / file.size));
  }
  if (!reader) throw new FileError(`${file.name} holds nothing but empty lines.`);
  collect(reader.end(), records, file);
  return pairsOf(records, file, rest);
}

/** Yields to the page whenever the work has blocked it for a while. */
function rester(signal) {
  let rested = performance.now();
  return async (report = () => {}) => {
    if (performance.now() - rested < BREATH) return;
    report();
    await new Promise((resolve) => setTimeout(resolve));
    if (signal?.aborted) throw new DOMException("stopped", "AbortError");
    rested = performance.now();
  };
}

async function* pieces(file, signal) {
  const source = file.stream().getReader();
  const decoder = new TextDecoder("utf-8", { fatal: true });
  try {
    for (;;) {
      if (signal?.aborted) throw new DOMException("stopped", "AbortError");
      const { done, value } = await source.read();
      for (let from = 0; from < (value?.length ?? 0); from += PIECE) {
        const part = value.subarray(from, from + PIECE);
        yield { text: decoder.decode(part, { stream: true }), bytes: part.length };
      }
      if (!done) continue;
      yield { text: decoder.decode(), bytes: 0 };
      return;
    }
  } catch (error) {
    if (error instanceof TypeError) throw binary(file);
    if (error.name === "NotReadableError" || error.name === "NotFoundError") {
      throw new FileError(`${file.name} cannot be read. Was it moved or changed since it was chosen?`);
    }
    throw error;
  } finally {
    source.cancel().catch(() => {});
  }
}

function binary(file) {
  return new FileError(`${file.name} is no UTF-8 text. Save it as CSV or JSON lines in UTF-8; Parquet and Excel files are read by votecast predict and votecast convert.`);
}

function readerFor(text, file) {
  const start = text.trimStart();
  if (!start) return null;
  if (start.startsWith("[") && /\.jsonl?$|\.ndjson$/i.test(file.name)) {
    throw new FileError(`${file.name} is one JSON list. Write one object a line (JSON lines) instead.`);
  }
  return start.startsWith("{") ? new LineRecords() : new CsvRecords();
}

function collect(found, records, file) {
  for (const record of found) {
    if (record.names) checkNames(record.names, file);
    else if (records.length === MOST_ROWS) {
      throw new FileError(
        `${file.name} holds more than ${count(MOST_ROWS, "pair")} (${size(file.size)}), the most that this page takes. Split it, or use votecast predict, which knows no limit.`,
      );
    } else records.push(record);
  }
}

function checkNames(names, file) {
  const missing = TEXTS.filter((name) => !names.includes(name));
  if (!missing.length) return;
  const shown = names.slice(0, 8).map((name) => name.slice(0, 30)).join(", ") + (names.length > 8 ? ", …" : "");
  const pairs = names.includes("chosen") && names.includes("rejected") ? " votecast convert brings chosen and rejected answers into this form." : "";
  throw new FileError(
    `${file.name} has no column ${missing.join(", ")}. Needed are ${TEXTS.join(", ")}; the file has ${shown || "none"}.${pairs}`,
  );
}

async function pairsOf(records, file, rest) {
  if (!records.length) throw new FileError(`${file.name} has column names but no rows.`);
  const known = records.filter(({ values }) => values);
  if (known.length && !(known[0].values.prompt !== undefined && TEXTS.every((name) => known.some(({ values }) => name in values)))) {
    checkNames([...new Set(known.slice(0, HEAD).flatMap(({ values }) => Object.keys(values)))], file);
  }
  const lists = Object.fromEntries(TEXTS.map((name) => [name, holdsLists(known, name)]));
  const found = { rows: [], failed: [], votes: 0, unreadVotes: 0, models: false };
  for (const [place, record] of records.entries()) {
    await rest();
    const row = { number: place + 1, id: idOf(record.values, place) };
    const reason = record.problem ?? fillRow(row, record.values, lists);
    if (reason) {
      found.failed.push({ number: row.number, id: row.id, reason });
      continue;
    }
    found.rows.push(row);
    found.votes += row.vote ? 1 : 0;
    found.unreadVotes += row.vote === undefined ? 1 : 0;
    found.models ||= Boolean(row.models);
  }
  return found;
}

function idOf(values, place) {
  const id = values?.id;
  return typeof id === "string" || typeof id === "number" ? String(id) || String(place + 1) : String(place + 1);
}

/** Whether a column holds JSON lists of turns: half of its first cells look like it. */
function holdsLists(known, name) {
  const cells = known.slice(0, HEAD).map(({ values }) => values[name]).filter((cell) => typeof cell === "string" && cell);
  return cells.length > 0 && 2 * cells.filter((cell) => turnsOf(cell) !== null).length >= cells.length;
}

function turnsOf(cell) {
  if (!cell.trimStart().startsWith("[")) return null;
  try {
    return checkedTurns(JSON.parse(cell));
  } catch {
    return null;
  }
}

function checkedTurns(value) {
  return Array.isArray(value) && value.every((turn) => turn === null || typeof turn === "string") ? value : null;
}

/** Fill a row with its battle, vote and models; what is wrong with it, if anything is. */
function fillRow(row, values, lists) {
  const battle = { id: row.id };
  for (const name of TEXTS) {
    const cell = values[name];
    if (cell === undefined || cell === null || cell === "") return `${name} is empty`;
    const turns = typeof cell === "string" ? (lists[name] ? turnsOf(cell) : cell) : checkedTurns(cell);
    if (turns === null) return `${name} is neither a text nor a JSON list of texts`;
    if (!(typeof turns === "string" ? [turns] : turns).some((turn) => turn?.trim())) return `${name} holds no text`;
    battle[name] = turns;
  }
  for (const name of ["language", "source"]) if (typeof values[name] === "string" && values[name]) battle[name] = values[name];
  row.battle = battle;
  row.vote = voteOf(values);
  const models = [values.model_a, values.model_b];
  if (models.every((name) => typeof name === "string" && name.trim())) row.models = models;
  return null;
}

/** a, b or tie; null where there is no vote, and undefined where there is one that cannot be read. */
function voteOf(values) {
  const winner = values.winner;
  if (winner !== undefined && winner !== null && winner !== "") return WINNERS.get(String(winner).replace(/[\s_-]+/g, "").toLowerCase());
  const hot = ONE_HOT.map((name) => values[name]);
  if (hot.every((value) => value === undefined || value === null || value === "")) return null;
  const ones = hot.map((value) => ["1", "1.0", "true"].includes(String(value).toLowerCase()));
  return ones.filter(Boolean).length === 1 ? ["a", "b", "tie"][ones.indexOf(true)] : undefined;
}
