// The outcome of a file: metrics, downloads, the first predictions, and the rows without one.

import { shareBar, shareList } from "./bars.js";
import { csvCell } from "./csv.js";
import { download, el } from "./dom.js";
import { figuresOf } from "./figures.js";
import { whoOf } from "./result.js";
import { failedOf, predictionsOf } from "./tables.js";
import { count } from "./words.js";

/** Everything about the rows of a file that were predicted, and those that were not. */
export function outcomeOf(name, rows, failed, judge, title) {
  const stem = name.replace(/\.[^.]*$/, "") || "pairs";
  return [
    rows.length ? meansOf(rows) : el("p", {}, "No row was predicted."),
    figuresBox(rows),
    rows.length ? downloadsOf(stem, rows, failed, judge) : null,
    rows.length ? predictionsOf(rows) : null,
    failedOf(failed),
    judge ? whoOf(judge, title) : null,
  ];
}

function meansOf(rows) {
  const mean = (key) => rows.reduce((sum, { prediction }) => sum + prediction.probabilities[key], 0) / rows.length;
  const shares = { a: mean("a"), b: mean("b"), tie: mean("tie") };
  const cut = rows.filter(({ prediction }) => prediction.cut?.rows_cut).length;
  const note = cut ? el("p", { class: "soft" }, `${count(cut, "pair")} longer than this judge reads ${cut === 1 ? "was" : "were"} truncated.`) : null;
  const title = el("p", { class: "verdict-text" }, `Votes expected over ${count(rows.length, "pair")}`);
  return el("div", { class: "verdict" }, title, shareBar(shares), shareList(shares), note);
}

function figuresBox(rows) {
  const found = figuresOf(rows);
  if (!found) return null;
  const fact = (name, value, note) => el("div", {}, el("dt", {}, name), el("dd", {}, el("strong", {}, value), el("span", { class: "soft" }, note)));
  return el(
    "dl",
    { class: "figures" },
    fact("Log loss", found.logLoss.toFixed(4), `${found.prior.toFixed(4)} for the class prior`),
    fact("Accuracy", `${(100 * found.accuracy).toFixed(1)}%`, `of ${count(found.votes, "vote")}`),
  );
}

function downloadsOf(stem, rows, failed, judge) {
  const csv = () => {
    const lines = rows.map(({ id, prediction: { probabilities: p, decision } }) => [csvCell(id), p.a, p.b, p.tie, decision].join(","));
    download(`${stem}-predictions.csv`, "text/csv", ["id,p_a,p_b,p_tie,decision\r\n", ...lines.map((line) => `${line}\r\n`)]);
  };
  const lines = () => {
    const lines = rows.map(({ id, prediction: { probabilities, decision } }) => `${JSON.stringify({ id, probabilities, decision, judge })}\n`);
    download(`${stem}-predictions.jsonl`, "application/jsonl", lines);
  };
  const lost = () => {
    const lines = failed.map(({ number, id, reason }) => `${number},${csvCell(id)},${csvCell(reason)}\r\n`);
    download(`${stem}-without-prediction.csv`, "text/csv", ["row,id,reason\r\n", ...lines]);
  };
  const button = (text, onclick, kind) => el("button", { type: "button", class: kind, onclick }, text);
  return el(
    "div",
    { class: "actions" },
    button("Download CSV", csv, "primary"),
    button("Download JSON lines", lines),
    failed.length ? button("Download failed rows", lost) : null,
  );
}
