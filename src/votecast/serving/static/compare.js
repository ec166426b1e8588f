// The view that compares two answers.

import { ServiceError, askPatiently } from "./api.js";
import { byId, el, fill, reveal, setText } from "./dom.js";
import { EXAMPLES } from "./examples.js";
import { resultOf } from "./result.js";
import { Turns } from "./turns.js";
import { inWords } from "./words.js";

/**
 * Make the form work.
 * @param {{chosen: function(): object}} judges Knows the judge that is chosen.
 */
export function startCompare(judges) {
  const turns = new Turns(byId("turns"));
  let running = null;

  function forget() {
    running?.abort();
    byId("result").hidden = true;
    setText(byId("form-status"), "");
    setText(byId("form-problem"), "");
    turns.clearProblems();
  }

  async function compare() {
    if (running || !turns.check()) {
      if (running) return;
      byId("result").hidden = true;
      setText(byId("form-problem"), "Something is missing: see beside the fields.");
      return;
    }
    const judge = judges.chosen();
    const request = { ...turns.battle(), ...(judge ? { judge: judge.name } : {}), order: "both", explain: true };
    running = new AbortController();
    busy(true);
    setText(byId("form-problem"), "");
    setText(byId("form-status"), "Asking the judge …");
    setText(byId("announcement"), "");
    try {
      const report = (text) => setText(byId("form-status"), text);
      const prediction = await askPatiently("v1/compare", JSON.stringify(request), running.signal, report);
      show(prediction, judge, request);
    } catch (error) {
      fail(error);
    } finally {
      running = null;
      busy(false);
    }
  }

  function show(prediction, judge, request) {
    fill(byId("result-body"), resultOf(prediction, judge, request));
    byId("result").hidden = false;
    byId("stale").hidden = true;
    const { title, text } = inWords(prediction);
    setText(byId("form-status"), "");
    setText(byId("announcement"), `${title}. ${text}`);
    reveal(byId("result"));
  }

  function fail(error) {
    setText(byId("form-status"), "");
    if (error.name === "AbortError") return;
    byId("result").hidden = true;
    if (!(error instanceof ServiceError)) throw error;
    const others = turns.show(error.errors);
    const about = error.errors.length > others.length ? "The service cannot use this: see beside the fields." : error.message;
    setText(byId("form-problem"), [about, ...others.map(({ path, message }) => (path ? `${path}: ${message}` : message))].join(" "));
  }

  function busy(on) {
    byId("go").setAttribute("aria-disabled", String(on));
    byId("form").setAttribute("aria-busy", String(on));
  }

  byId("form").addEventListener("submit", (event) => {
    event.preventDefault();
    compare();
  });
  for (const changing of ["form", "judge"]) {
    byId(changing).addEventListener("input", () => {
      byId("stale").hidden = false;
    });
  }
  byId("form").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    compare();
  });
  byId("turns").addEventListener("click", ({ target }) => {
    if (target.closest("button")) byId("stale").hidden = false;
  });
  byId("add-turn").addEventListener("click", () => {
    turns.add();
    byId("stale").hidden = false;
  });
  byId("swap").addEventListener("click", () => {
    forget();
    turns.swap();
  });
  byId("clear").addEventListener("click", () => {
    forget();
    turns.set([{ prompt: "", a: "", b: "" }]);
    byId("prompt-1").focus();
  });
  const shown = (example) => () => {
    forget();
    turns.set(example.turns);
  };
  const buttons = EXAMPLES.map((example) => el("button", { type: "button", class: "small", onclick: shown(example) }, example.name));
  fill(byId("examples"), buttons);
}
