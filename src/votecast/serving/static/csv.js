// A reader of CSV (RFC 4180) that is fed piece by piece, and of JSON lines.

const QUOTE = '"';
const LONGEST = 10_000_000;
const SEPARATORS = [",", ";", "\t"];

/** An error message about a file. */
export class FileError extends Error {}

/** Cells of CSV, row by row; line breaks may be CRLF, LF or CR, and stand inside quoted cells. */
export class CsvReader {
  #separator = null;
  #held = "";
  #row = [];
  #cell = "";
  #quoted = false;
  #closed = false;
  #opened = 0;
  #after = false;
  #line = 1;

  /** Rows that the next piece completes. */
  *push(piece) {
    if (this.#separator === null && !/[\r\n]/.test(piece)) {
      this.#held += piece;
      return;
    }
    const text = this.#held + piece;
    this.#held = "";
    this.#separator ??= separatorOf(text);
    yield* this.#read(text);
  }

  /** The last row, which needs no line break. */
  *end() {
    if (this.#held) {
      this.#separator = separatorOf(this.#held);
      const text = this.#held;
      this.#held = "";
      yield* this.#read(text);
    }
    if (this.#quoted) {
      throw new FileError(`The quoted cell that begins in line ${this.#opened} is never closed. Close it with a second quote.`);
    }
    if (this.#cell || this.#row.length || this.#closed) yield this.#finished();
  }

  *#read(text) {
    const plain = new RegExp(`[${this.#separator}"\r\n]`, "g");
    let place = 0;
    while (place < text.length) {
      if (this.#quoted) {
        place = this.#inQuotes(text, place);
        continue;
      }
      plain.lastIndex = place;
      const stop = plain.exec(text)?.index ?? text.length;
      if (stop > place) {
        this.#cell += text.slice(place, stop);
        this.#after = false;
        this.#closed = false;
      }
      place = stop + 1;
      const sign = text[stop];
      if (sign === undefined) return;
      if (sign === QUOTE) this.#quote();
      else if (sign === this.#separator) this.#endCell();
      else if (!(sign === "\n" && this.#after)) {
        this.#line += 1;
        const row = this.#finished();
        if (row.length > 1 || row[0] !== "") yield row;
        this.#after = sign === "\r";
      } else this.#after = false;
    }
  }

  #quote() {
    this.#after = false;
    if (this.#closed) this.#cell += QUOTE;
    else if (this.#cell !== "") {
      this.#cell += QUOTE;
      return;
    } else this.#opened = this.#line;
    this.#quoted = true;
    this.#closed = false;
  }

  #inQuotes(text, place) {
    const end = text.indexOf(QUOTE, place);
    const inside = text.slice(place, end < 0 ? text.length : end);
    this.#cell += inside;
    if (this.#cell.length > LONGEST) {
      throw new FileError(`The cell that begins in line ${this.#opened} does not end for ${LONGEST / 1e6} million characters. Is a quote missing there?`);
    }
    for (let at = inside.indexOf("\n"); at >= 0; at = inside.indexOf("\n", at + 1)) this.#line += 1;
    if (end < 0) return text.length;
    this.#quoted = false;
    this.#closed = true;
    return end + 1;
  }

  #endCell() {
    this.#row.push(this.#cell);
    this.#cell = "";
    this.#closed = false;
    this.#after = false;
  }

  #finished() {
    this.#endCell();
    const row = this.#row;
    this.#row = [];
    return row;
  }
}

/** Rows of CSV as objects, by the names in the first row; of rows with another number of cells, what is wrong. */
export class CsvRecords {
  #reader = new CsvReader();
  #names = null;

  *push(piece) {
    for (const row of this.#reader.push(piece)) yield* this.#record(row);
  }

  *end() {
    for (const row of this.#reader.end()) yield* this.#record(row);
    if (this.#names && !this.#names.length) throw new FileError("The first row names no columns.");
  }

  *#record(row) {
    if (this.#names === null) {
      this.#names = row.map((name) => name.trim());
      const twice = this.#names.find((name, place) => name && this.#names.indexOf(name) !== place);
      if (twice) throw new FileError(`Two columns are called ${twice}. Give each its own name.`);
      yield { names: this.#names };
    } else if (row.length === this.#names.length) {
      yield { values: Object.fromEntries(this.#names.map((name, place) => [name, row[place]])) };
    } else {
      yield { problem: `has ${row.length} cells where the first row has ${this.#names.length}; is a quote missing?` };
    }
  }
}

/** Objects of JSON lines. */
export class LineRecords {
  #held = "";

  *push(piece) {
    const lines = piece.split("\n");
    lines[0] = this.#held + lines[0];
    this.#held = lines.pop();
    for (const line of lines) yield* this.#record(line);
  }

  *end() {
    yield* this.#record(this.#held);
  }

  *#record(line) {
    if (!line.trim()) return;
    let values;
    try {
      values = JSON.parse(line, exact);
    } catch {
      yield { problem: "is not JSON; every line should hold one object" };
      return;
    }
    if (typeof values === "object" && values !== null && !Array.isArray(values)) yield { values };
    else yield { problem: "holds no JSON object; every line should hold one" };
  }
}

/** An id that is a number too long for JavaScript is kept as it is written. */
function exact(key, value, context) {
  return key === "id" && typeof value === "number" && !Number.isSafeInteger(value) ? (context?.source ?? value) : value;
}

function separatorOf(text) {
  const head = text.replace(/"[^"]*"/g, "").split(/[\r\n]/, 1)[0];
  const often = SEPARATORS.map((sign) => head.split(sign).length);
  return SEPARATORS[often.indexOf(Math.max(...often))];
}

/** A cell as CSV holds it. */
export function csvCell(value) {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
