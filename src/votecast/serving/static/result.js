// One forecast, shown: the three shares, the decision in words, both orders, reasons, what was cut, and who says so.

import { effectBar, shareBar, shareList } from "./bars.js";
import { el } from "./dom.js";
import { inWords } from "./words.js";

const LEAST_EFFECT = 0.005;
const MOST_REASONS = 6;
const SAME = 0.0005;

/** Everything about a forecast. */
export function resultOf(forecast, facts, request) {
  const { title, text } = inWords(forecast);
  const head = el(
    "div",
    { class: `verdict ${forecast.decision}` },
    el("p", { class: "verdict-title" }, title),
    el("p", { class: "verdict-text" }, text),
    shareBar(forecast.probabilities),
    shareList(forecast.probabilities),
  );
  const side = el("div", { class: "side" }, ordersOf(forecast, facts), cutOf(forecast, facts));
  return [head, el("div", { class: "parts" }, reasonsOf(forecast), side), whoOf(forecast.judge, facts?.title), asRequest(request, forecast)];
}

function card(name, ...children) {
  return el("section", { class: `card ${name.split(" ")[0].toLowerCase()}` }, el("h4", {}, name), ...children);
}

function points(effect) {
  return Math.abs(100 * effect).toFixed(1);
}

function reasonsOf({ reasons, probabilities }) {
  if (!reasons) {
    return card("Reasons", el("p", {}, "This judge reads the texts as a whole and cannot say what spoke for either answer; a baseline judge can."));
  }
  const told = reasons.filter(({ effect }) => Math.abs(effect) >= LEAST_EFFECT).slice(0, MOST_REASONS);
  if (!told.length) return card("Reasons", el("p", {}, "Nothing spoke clearly for either answer."));
  const largest = Math.max(...told.map(({ effect }) => Math.abs(effect)));
  const rest = reasons.filter((reason) => !told.includes(reason)).reduce((sum, { effect }) => sum + effect, 0);
  const lead = probabilities.a - probabilities.b;
  const [first, second] = lead > 0 ? ["A", "B"] : ["B", "A"];
  const ahead = Math.abs(lead) < LEAST_EFFECT ? "All in all, answers A and B are about equal" : `All in all, answer ${first} is ${points(lead)} points ahead of answer ${second}, ties left aside`;
  const others = Math.abs(rest) >= LEAST_EFFECT ? `; what is not listed here comes to ${points(rest)} points for ${rest > 0 ? "A" : "B"}` : "";
  return card(
    "Reasons",
    el("p", { class: "soft" }, "What this judge went by, in points of a hundred voters. It says how people vote, not which answer is right."),
    el("div", { class: "axis", "aria-hidden": "true" }, el("span", {}, "◂ for A"), el("span", {}, "for B ▸")),
    el("ul", { class: "reasons" }, told.map((reason) => reasonOf(reason, largest))),
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
  const { given, exchanged } = orders;
  const gap = Math.max(...["a", "b", "tie"].map((key) => Math.abs(given[key] - exchanged[key])));
  const same = facts?.order_matters ? "Here the order of the answers makes no difference." : "The order in which the answers stand plays no part for this judge.";
  const text =
    gap < SAME
      ? same
      : `The order matters by up to ${points(gap)} points here; the forecast is the mean of both.`;
  const one = (name, shares) => el("div", {}, el("p", { class: "order-name" }, name), shareBar(shares, { kind: "flat" }), shareList(shares));
  return card("Both orders", el("div", { class: "two" }, one("A shown first", given), one("B shown first", exchanged)), el("p", { class: "soft" }, text));
}

function cutOf({ cut }, facts) {
  if (!cut || !cut.rows_cut) {
    const text = facts?.cuts ? "Nothing: prompt and answers fit whole into what this judge reads." : "Nothing: this judge reads texts whole.";
    return card("What was cut", el("p", {}, text));
  }
  const names = { prompt: "the prompt", a: "answer A", b: "answer B" };
  const kept = Object.entries(names).map(([key, name]) => [name, cut.kept?.[key] ?? 1]);
  const line = kept.map(([name, share]) => `${share >= 1 ? "all" : `${Math.min(99, Math.round(100 * share))}%`} of ${name}`);
  return card("What was cut", el("p", {}, `The texts are longer than this judge reads. It saw ${line.slice(0, 2).join(", ")} and ${line[2]}.`));
}

/** Which judge said it: its name here, its own where that is another, and its hash. */
export function whoOf(judge, title) {
  const own = title && title !== judge.name ? [" (", el("span", { dir: "auto" }, title), ")"] : [];
  return el("p", { class: "soft who" }, "Judge ", el("strong", { dir: "auto" }, judge.name), ...own, ", hash ", el("code", {}, judge.hash));
}

function asRequest(request, forecast) {
  const body = JSON.stringify(request, null, 2).replaceAll("'", "'\\''");
  const line = `curl -s ${location.origin}/v1/compare -H 'content-type: application/json' -d '${body}'`;
  const block = (name, text) => [el("h4", {}, name), el("pre", { tabindex: "0", role: "region", "aria-label": name, dir: "ltr" }, text)];
  return el("details", { class: "more" }, el("summary", {}, "The same with the API"), block("Request", line), block("Response", JSON.stringify(forecast, null, 2)));
}
