// One prediction: the three shares, the decision in words, both orders, reasons, truncation, and the judge.

import { effectBar, shareBar, shareList } from "./bars.js";
import { el } from "./dom.js";
import { inWords } from "./words.js";

const LEAST_EFFECT = 0.005;
const MOST_REASONS = 6;
const SAME = 0.0005;

/** Everything about a prediction. */
export function resultOf(prediction, facts, request) {
  const { title, text } = inWords(prediction);
  const head = el(
    "div",
    { class: `verdict ${prediction.decision}` },
    el("p", { class: "verdict-title" }, title),
    el("p", { class: "verdict-text" }, text),
    shareBar(prediction.probabilities),
    shareList(prediction.probabilities),
  );
  const side = el("div", { class: "side" }, ordersOf(prediction, facts), truncationOf(prediction, facts));
  return [head, el("div", { class: "parts" }, reasonsOf(prediction), side), whoOf(prediction.judge, facts?.title), asRequest(request, prediction)];
}

function card(name, ...children) {
  return el("section", { class: `card ${name.split(" ")[0].toLowerCase()}` }, el("h4", {}, name), ...children);
}

function points(effect) {
  return Math.abs(100 * effect).toFixed(1);
}

function reasonsOf({ reasons, probabilities }) {
  if (!reasons) {
    return card("Reasons", el("p", {}, "This judge gives no reasons; a baseline judge does."));
  }
  const shown = reasons.filter(({ effect }) => Math.abs(effect) >= LEAST_EFFECT).slice(0, MOST_REASONS);
  if (!shown.length) return card("Reasons", el("p", {}, "No reason is clearly for either answer."));
  const largest = Math.max(...shown.map(({ effect }) => Math.abs(effect)));
  const rest = reasons.filter((reason) => !shown.includes(reason)).reduce((sum, { effect }) => sum + effect, 0);
  const lead = probabilities.a - probabilities.b;
  const [first, second] = lead > 0 ? ["A", "B"] : ["B", "A"];
  const ahead = Math.abs(lead) < LEAST_EFFECT ? "Overall, answers A and B are about equal" : `Overall, answer ${first} is ${points(lead)} points ahead of answer ${second}, without ties`;
  const others = Math.abs(rest) >= LEAST_EFFECT ? `; the other reasons come to ${points(rest)} points for ${rest > 0 ? "A" : "B"}` : "";
  return card(
    "Reasons",
    el("p", { class: "soft" }, "What the prediction is based on, in points of a hundred voters. It tells how people vote, not which answer is right."),
    el("div", { class: "axis", "aria-hidden": "true" }, el("span", {}, "◂ for A"), el("span", {}, "for B ▸")),
    el("ul", { class: "reasons" }, shown.map((reason) => reasonOf(reason, largest))),
    el("p", { class: "soft" }, `${ahead}${others}.`),
  );
}

function reasonOf({ name, text, effect }, largest) {
  const side = effect > 0 ? "A" : "B";
  return el(
    "li",
    {},
    el("p", { class: "reason-name" }, el("span", {}, name), el("span", { class: `points ${side.toLowerCase()}` }, `${points(effect)} for ${side}`)),
    effectBar(effect, largest),
    el("p", { class: "soft", dir: "auto" }, text),
  );
}

function ordersOf({ orders }, facts) {
  if (!orders) return null;
  const { given, swapped } = orders;
  const gap = Math.max(...["a", "b", "tie"].map((key) => Math.abs(given[key] - swapped[key])));
  const same = facts?.order_matters ? "The order of the answers makes no difference here." : "The order of the answers does not affect this judge.";
  const text =
    gap < SAME
      ? same
      : `The order matters by up to ${points(gap)} points here; the prediction is the mean of both.`;
  const one = (name, shares) => el("div", {}, el("p", { class: "order-name" }, name), shareBar(shares, { kind: "flat" }), shareList(shares));
  return card("Both orders", el("div", { class: "two" }, one("A shown first", given), one("B shown first", swapped)), el("p", { class: "soft" }, text));
}

function truncationOf({ cut }, facts) {
  if (!cut || !cut.rows_cut) {
    const text = facts?.cuts ? "Nothing was truncated: the prompt and the answers fit into what this judge reads." : "Nothing was truncated: this judge reads whole texts.";
    return card("Truncation", el("p", {}, text));
  }
  const names = { prompt: "the prompt", a: "answer A", b: "answer B" };
  const kept = Object.entries(names).map(([key, name]) => [name, cut.kept?.[key] ?? 1]);
  const line = kept.map(([name, share]) => `${share >= 1 ? "all" : `${Math.min(99, Math.round(100 * share))}%`} of ${name}`);
  return card("Truncation", el("p", {}, `The texts are longer than this judge reads. It read ${line.slice(0, 2).join(", ")} and ${line[2]}.`));
}

/** The judge: its name here, its own if that is another, and its hash. */
export function whoOf(judge, title) {
  const own = title && title !== judge.name ? [" (", el("span", { dir: "auto" }, title), ")"] : [];
  return el("p", { class: "soft who" }, "Judge ", el("strong", { dir: "auto" }, judge.name), ...own, ", hash ", el("code", {}, judge.hash));
}

function asRequest(request, prediction) {
  const body = JSON.stringify(request, null, 2).replaceAll("'", "'\\''");
  const line = `curl -s ${location.origin}/v1/compare -H 'content-type: application/json' -d '${body}'`;
  const block = (name, text) => [el("h4", {}, name), el("pre", { tabindex: "0", role: "region", "aria-label": name, dir: "ltr" }, text)];
  return el("details", { class: "more" }, el("summary", {}, "The same with the API"), block("Request", line), block("Response", JSON.stringify(prediction, null, 2)));
}
