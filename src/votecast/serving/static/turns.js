// The turns of the conversation that is compared: fields to write in, and errors beside the field they are about.

import { byId, el, fill } from "./dom.js";

const FIELDS = [
  { name: "prompt", key: "prompt", label: "Prompt", rows: 3, blank: "Write what the user asked." },
  { name: "response_a", key: "a", label: "Answer A", rows: 9, blank: "Write answer A, or paste it here." },
  { name: "response_b", key: "b", label: "Answer B", rows: 9, blank: "Write answer B, or paste it here." },
];
const MOST = 20;

/** The fields of the turns, inside one element. */
export class Turns {
  constructor(root) {
    this.root = root;
    this.set([{ prompt: "", a: "", b: "" }]);
  }

  /** What is written: one object with prompt, a and b for each turn. */
  get() {
    return this.turns.map((turn) => Object.fromEntries(FIELDS.map(({ key }) => [key, turn[key].value])));
  }

  /** Show these turns. */
  set(values) {
    this.turns = [];
    this.root.replaceChildren();
    for (const value of values) this.#append(value);
    this.#label();
  }

  /** One more turn, ready to be written. */
  add() {
    if (this.turns.length >= MOST) return;
    this.#append({ prompt: "", a: "", b: "" });
    this.#label();
    this.turns.at(-1).prompt.focus();
  }

  /** Swap the answers. */
  swap() {
    this.set(this.get().map(({ prompt, a, b }) => ({ prompt, a: b, b: a })));
  }

  /** The battle as the service takes it. */
  battle() {
    const turns = this.get();
    const pick = (key) => (turns.length === 1 ? turns[0][key] : turns.map((turn) => turn[key]));
    return { prompt: pick("prompt"), response_a: pick("a"), response_b: pick("b") };
  }

  /** Show no errors. */
  clearProblems() {
    for (const turn of this.turns) for (const field of FIELDS) this.#report(turn, field.key, "");
  }

  /** Whether every prompt and answer holds text; if one holds none, an error is shown beside its first field. */
  check() {
    this.clearProblems();
    const turns = this.get();
    const empty = FIELDS.filter(({ key }) => turns.every((turn) => !turn[key].trim()));
    for (const { key, blank } of empty) this.#report(this.turns[0], key, blank);
    if (empty.length) this.turns[0][empty[0].key].focus();
    return empty.length === 0;
  }

  /**
   * Show the errors of an answer beside the fields they are about.
   * @param {Array<{path: string, message: string}>} errors
   * @returns Those that are about no field here.
   */
  show(errors) {
    const others = [];
    let first = null;
    for (const error of errors) {
      const [name, place] = error.path.split(".");
      const field = FIELDS.find((known) => known.name === name);
      if (!field) {
        others.push(error);
        continue;
      }
      const turn = this.turns[Number.parseInt(place, 10)] ?? this.turns[0];
      this.#report(turn, field.key, error.message);
      first ??= turn[field.key];
    }
    first?.focus();
    return others;
  }

  #append(value) {
    const turn = { box: el("fieldset", { class: "turn" }), legend: el("legend"), prompt: null };
    const drop = el("button", { type: "button", class: "small", onclick: () => this.#remove(turn) });
    const [prompt, a, b] = FIELDS.map((field) => this.#field(turn, field, value[field.key]));
    turn.drop = drop;
    turn.box.append(turn.legend, prompt, el("div", { class: "pair" }, a, b), drop);
    this.turns.push(turn);
    this.root.append(turn.box);
  }

  #field(turn, field, value) {
    const area = el("textarea", { rows: field.rows, dir: "auto", spellcheck: "false", name: field.name });
    area.value = value;
    area.addEventListener("input", () => this.#report(turn, field.key, ""));
    const label = el("label");
    const problem = el("p", { class: "problem" });
    turn[field.key] = area;
    turn[`${field.key}Label`] = label;
    turn[`${field.key}Problem`] = problem;
    return el("div", { class: `field ${field.key}` }, label, area, problem);
  }

  #report(turn, key, text) {
    turn[`${key}Problem`].textContent = text;
    if (text) turn[key].setAttribute("aria-invalid", "true");
    else turn[key].removeAttribute("aria-invalid");
  }

  #remove(turn) {
    const place = this.turns.indexOf(turn);
    this.turns.splice(place, 1);
    turn.box.remove();
    this.#label();
    this.turns[Math.min(place, this.turns.length - 1)].prompt.focus();
  }

  #label() {
    const many = this.turns.length > 1;
    this.turns.forEach((turn, place) => {
      fill(turn.legend, many ? `Turn ${place + 1}` : "");
      turn.legend.hidden = !many;
      turn.box.classList.toggle("one", !many);
      turn.drop.hidden = !many;
      turn.drop.textContent = `Remove turn ${place + 1}`;
      for (const { key, label } of FIELDS) {
        const id = `${key}-${place + 1}`;
        turn[key].id = id;
        turn[key].setAttribute("aria-describedby", `${id}-problem`);
        turn[`${key}Problem`].id = `${id}-problem`;
        turn[`${key}Label`].htmlFor = id;
        fill(turn[`${key}Label`], label, many ? el("span", { class: "out" }, ` of turn ${place + 1}`) : null);
      }
    });
    byId("add-turn").disabled = this.turns.length >= MOST;
  }
}
