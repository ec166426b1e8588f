// The view that predicts a file: choose, look, predict, download.

import { ServiceError, askPatiently } from "./api.js";
import { predictAll } from "./batches.js";
import { FileError } from "./csv.js";
import { byId, el, fill, reveal, setText } from "./dom.js";
import { outcomeOf } from "./outcome.js";
import { readFile } from "./reading.js";
import { leaderboardOf, previewOf } from "./tables.js";
import { count, duration } from "./words.js";

const REPORT_EVERY = 250;
const ANNOUNCED = 0.25;
const DIGITS = 6;
const CANCELLED = "cancelled";
const FEWEST_GAMES = 2;

/**
 * Make the view work.
 * @param {{chosen: function(): object}} judges Knows the judge that is chosen.
 */
export function startFile(judges) {
  let work = null;

  function begin() {
    work?.abort();
    work = new AbortController();
    setText(byId("file-problem"), "");
    setText(byId("file-status"), "");
    fill(byId("file-body"));
    return work;
  }

  async function take(file) {
    const mine = begin();
    try {
      setText(byId("file-status"), `Reading ${file.name} …`);
      const report = (share) => setText(byId("file-body"), `${Math.round(100 * share)}% read`);
      const found = await readFile(file, report, mine.signal);
      if (mine === work) offer(file.name, found);
    } catch (error) {
      if (mine === work) fail(error);
    }
  }

  function offer(name, found) {
    const { rows, failed, votes, unreadVotes, models } = found;
    const notes = [votes ? count(votes, "vote") : "no votes", models ? "models are named" : "no models named"];
    if (failed.length) notes.push(`${count(failed.length, "row")} cannot be used`);
    if (unreadVotes) notes.push(`${count(unreadVotes, "vote")} cannot be read and ${unreadVotes === 1 ? "is" : "are"} left out`);
    setText(byId("file-status"), `${name}: ${count(rows.length, "pair")}; ${notes.join("; ")}.`);
    const start = el("button", { type: "button", class: "primary", onclick: () => run(name, found) }, `Predict ${count(rows.length, "pair")}`);
    if (rows.length) {
      fill(byId("file-body"), el("div", { class: "actions" }, start), previewOf(rows));
      start.focus();
    } else fill(byId("file-body"), outcomeOf(name, [], failed, null));
  }

  async function run(name, found, judge = judges.chosen()) {
    const mine = begin();
    const open = found.rows.filter((row) => !row.prediction && !row.reason);
    const seen = { done: 0, judge: null, waiting: "" };
    const shown = progress(open.length, () => mine.abort());
    const started = performance.now();
    const clock = setInterval(() => shown.report(seen, (performance.now() - started) / 1000), REPORT_EVERY);
    let end = "";
    try {
      await predictAll(open, judge?.name ?? null, follower(seen), mine.signal);
    } catch (error) {
      if (!(error instanceof ServiceError) && error.name !== "AbortError") throw error;
      end = error.name === "AbortError" ? CANCELLED : error.message;
    } finally {
      clearInterval(clock);
    }
    if (mine !== work) return;
    finish(name, found, end, { cited: seen.judge, title: judge?.title }, () => run(name, found, judge));
  }

  function follower(seen) {
    return {
      done: (row, prediction) => {
        row.prediction = prediction;
        seen.done += 1;
        seen.waiting = "";
      },
      failed: (row, reason) => {
        row.reason = reason;
        seen.done += 1;
      },
      judged: (who) => {
        seen.judge = who;
      },
      waiting: (text) => {
        seen.waiting = text;
      },
    };
  }

  function progress(total, cancel) {
    const bar = el("progress", { max: total, value: 0, "aria-label": "Pairs predicted" });
    const text = el("p", { class: "soft" }, "Starting …");
    const stop = el("button", { type: "button", id: "cancel", onclick: cancel }, "Cancel");
    fill(byId("file-body"), el("div", { class: "progress" }, bar, text, stop));
    stop.focus();
    let announced = 0;
    return {
      report({ done, waiting }, seconds) {
        bar.value = done;
        const left = done ? ` · ${duration((seconds / done) * (total - done))} left` : "";
        setText(text, `${done.toLocaleString("en")} of ${count(total, "pair")}${waiting ? ` · ${waiting}` : left}`);
        if (done / total < announced + ANNOUNCED) return;
        announced = done / total;
        setText(byId("file-status"), `${Math.round(100 * announced)}% done`);
      },
    };
  }

  function finish(name, { rows, failed }, end, judge, resume) {
    work = new AbortController();
    const done = rows.filter((row) => row.prediction);
    const open = rows.filter((row) => !row.prediction && !row.reason);
    const lost = [...failed, ...rows.filter(({ reason }) => reason)].sort((one, other) => one.number - other.number);
    const cancelled = end === CANCELLED;
    if (end && !cancelled) setText(byId("file-problem"), `${end} What was predicted before can be downloaded.`);
    const rest = [lost.length && `${count(lost.length, "row")} without one`, open.length && `${count(open.length, "pair")} not predicted yet`];
    const parts = [count(done.length, "prediction"), ...rest.filter(Boolean)];
    setText(byId("file-status"), `${cancelled ? "Cancelled: " : ""}${parts.join("; ")}.`);
    const title = el("h3", { tabindex: "-1" }, end ? "Results so far" : "Results");
    const more = el("button", { type: "button", onclick: resume }, `Continue with the other ${count(open.length, "pair")}`);
    const board = el("div");
    fill(byId("file-body"), title, open.length ? el("div", { class: "actions" }, more) : null, outcomeOf(name, done, lost, judge.cited, judge.title), board);
    title.focus({ preventScroll: true });
    reveal(title);
    const named = done.filter(({ models }) => models && models[0] !== models[1]);
    if (named.length >= FEWEST_GAMES) rank(board, named);
  }

  async function rank(board, rows) {
    const mine = work;
    const voted = rows.filter((row) => row.vote);
    const kinds = { predictions: rows, ...(voted.length >= FEWEST_GAMES ? { votes: voted } : {}) };
    const place = el("div", { class: "board" }, el("p", { class: "soft" }, "Ranking the models …"));
    let wanted = "";
    const show = async (kind) => {
      wanted = kind;
      try {
        const games = kinds[kind].map((row) => gameOf(row, kind));
        const found = await askPatiently("v1/leaderboard", JSON.stringify({ games }), mine.signal);
        if (kind !== wanted) return;
        fill(place, leaderboardOf(`Leaderboard by ${kind}: ${count(games.length, "battle")}`, found));
      } catch (error) {
        if (error.name === "AbortError") return;
        if (!(error instanceof ServiceError)) throw error;
        fill(place, el("p", { class: "problem" }, `There is no leaderboard: ${[error.message, ...error.errors.slice(0, 3).map(({ message }) => message)].join(" ")}`));
      }
    };
    const choices = Object.keys(kinds).map((kind, position) => {
      const input = el("input", { type: "radio", name: "board", value: kind, checked: position === 0, onchange: () => show(kind) });
      return el("label", { class: "choice" }, input, ` by ${kind}`);
    });
    const chooser = choices.length > 1 ? el("fieldset", { class: "choices" }, el("legend", {}, "Rank the models"), choices) : null;
    fill(board, el("h3", {}, "Leaderboard"), chooser, place);
    await show("predictions");
  }

  function fail(error) {
    setText(byId("file-status"), "");
    fill(byId("file-body"));
    if (error.name === "AbortError") return;
    if (!(error instanceof FileError)) throw error;
    setText(byId("file-problem"), error.message);
  }

  listen(take);
}

function gameOf({ models, prediction, vote }, kind) {
  const [model_a, model_b] = models;
  if (kind === "votes") return { model_a, model_b, winner: vote };
  const { a, b, tie } = prediction.probabilities;
  const [one, two, three] = [a, b, tie].map((share) => Number(share.toFixed(DIGITS)));
  return { model_a, model_b, probabilities: { a: one, b: two, tie: three } };
}

/** Files that are chosen, dropped, or the sample. */
function listen(take) {
  const drop = byId("drop");
  byId("file").addEventListener("change", ({ target }) => {
    if (target.files.length) take(target.files[0]);
    target.value = "";
  });
  byId("sample").addEventListener("click", async () => {
    try {
      const answer = await fetch("static/sample.csv", { credentials: "same-origin" });
      if (!answer.ok) throw new TypeError(String(answer.status));
      take(new File([await answer.blob()], "sample.csv"));
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      setText(byId("file-problem"), "The sample cannot be fetched. Is the service still running?");
    }
  });
  const view = byId("view-file");
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
  for (const name of ["dragenter", "dragover"]) {
    addEventListener(name, (event) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) drop.classList.remove("over");
  });
  addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    drop.classList.remove("over");
    if (view.hidden) location.hash = "file";
    const { files } = event.dataTransfer;
    if (files.length === 1) take(files[0]);
    else setText(byId("file-problem"), `These are ${files.length} files. Drop one at a time.`);
  });
}
