// The tables of a file: its first rows, their predictions, rows that failed, and the leaderboard.

import { shareBar } from "./bars.js";
import { el } from "./dom.js";
import { brief, count, nameOf, ofHundred } from "./words.js";

const SHOWN = 8;
const SHOWN_FAILED = 100;

function firstTurn(text) {
  return typeof text === "string" ? text : (text.find((turn) => turn?.trim()) ?? "");
}

/** A table in a box that scrolls sideways on narrow screens. */
export function table(caption, columns, rows, kind = "") {
  const head = columns.map((name) => el("th", { scope: "col", class: name.startsWith("#") ? "n" : false }, name.replace("#", "")));
  return el(
    "div",
    { class: "wide", tabindex: "0", role: "region", "aria-label": caption },
    el("table", { class: kind }, el("caption", {}, caption), el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows)),
  );
}

function clipped(text) {
  return el("td", { class: "clip", dir: "auto" }, brief(firstTurn(text)));
}

/** The first rows of a file before they are predicted. */
export function previewOf(rows) {
  const lines = rows.slice(0, SHOWN).map(({ id, battle }) =>
    el("tr", {}, el("th", { scope: "row", dir: "auto" }, brief(id, 30)), clipped(battle.prompt), clipped(battle.response_a), clipped(battle.response_b)),
  );
  return table(`The first ${count(lines.length, "row")}`, ["id", "prompt", "answer A", "answer B"], lines);
}

/** The first rows with their predictions. */
export function predictionsOf(rows) {
  const voted = rows.some(({ vote }) => vote);
  const lines = rows.slice(0, SHOWN).map(({ id, battle, vote, prediction }) => {
    const [a, b, tie] = ofHundred([prediction.probabilities.a, prediction.probabilities.b, prediction.probabilities.tie]);
    const cells = [a, tie, b].map((share) => el("td", { class: "n" }, `${share}%`));
    const bar = el("td", { class: "bar-cell" }, shareBar(prediction.probabilities, { kind: "thin" }));
    const votes = voted ? [el("td", {}, vote ? nameOf(vote) : "")] : [];
    return el("tr", {}, el("th", { scope: "row", dir: "auto" }, brief(id, 30)), clipped(battle.prompt), bar, cells, el("td", {}, nameOf(prediction.decision)), votes);
  });
  const columns = ["id", "prompt", "prediction", "#A", "#tie", "#B", "decision", ...(voted ? ["vote"] : [])];
  return table(`The first ${count(lines.length, "prediction")}`, columns, lines);
}

/** Rows without a prediction, and why. */
export function failedOf(failed) {
  if (!failed.length) return null;
  const lines = failed.slice(0, SHOWN_FAILED).map(({ number, id, reason }) =>
    el("tr", {}, el("td", { class: "n" }, String(number)), el("th", { scope: "row", dir: "auto" }, brief(id, 30)), el("td", { class: "long", dir: "auto" }, reason)),
  );
  const more = failed.length > SHOWN_FAILED ? `, the first ${SHOWN_FAILED} of ${count(failed.length, "row")}` : "";
  return el("details", { class: "more failed", open: failed.length <= SHOWN }, el("summary", {}, `${count(failed.length, "row")} without a prediction`), table(`Rows without a prediction${more}`, ["#row", "id", "reason"], lines));
}

/** A leaderboard: ranks, scores with their intervals, battles. */
export function leaderboardOf(caption, { models, notes = [] }) {
  const low = Math.min(...models.map((model) => model.low));
  const high = Math.max(...models.map((model) => model.high));
  const place = (value) => (high > low ? (100 * (value - low)) / (high - low) : 50);
  const lines = models.map((model) => {
    const span = el("span", { class: "span" });
    span.style.left = `${place(model.low)}%`;
    span.style.width = `${place(model.high) - place(model.low)}%`;
    const mark = el("span", { class: "mark" });
    mark.style.left = `${place(model.score)}%`;
    const ranks = model.rank_low === model.rank_high ? "" : ` (${model.rank_low}–${model.rank_high})`;
    return el(
      "tr",
      {},
      el("td", { class: "n" }, `${model.rank}${ranks}`),
      el("th", { scope: "row", dir: "auto" }, brief(model.model, 40)),
      el("td", { class: "n" }, model.score.toFixed(0)),
      el("td", { class: "n soft" }, `${model.low.toFixed(0)} to ${model.high.toFixed(0)}`),
      el("td", { class: "bar-cell" }, el("div", { class: "interval", "aria-hidden": "true" }, span, mark)),
      el("td", { class: "n" }, model.battles.toLocaleString("en")),
    );
  });
  const remarks = notes.map((note) => el("p", { class: "soft", dir: "auto" }, note));
  return [table(caption, ["#rank", "model", "#score", "#95% interval", "interval", "#battles"], lines, "snug"), ...remarks];
}
