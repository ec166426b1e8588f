// Bars of probabilities and of effects. The numbers stand beside them as text, so that the bars are not needed.

import { el } from "./dom.js";
import { ofHundred } from "./words.js";

const PARTS = [
  ["a", "A"],
  ["tie", "tie"],
  ["b", "B"],
];

const ROOM_FOR_NAME = 25;
const ROOM_FOR_NUMBER = 14;

/** Three probabilities as one bar: A from the left, B from the right, ties between. */
export function shareBar(probabilities, { kind = "" } = {}) {
  const bar = el("div", { class: `bar ${kind}`, "aria-hidden": "true" });
  const label = (share, name) => (kind || share < ROOM_FOR_NUMBER ? "" : share < ROOM_FOR_NAME ? `${share}%` : `${name} ${share}%`);
  const [a, tie, b] = ofHundred(PARTS.map(([key]) => probabilities[key]));
  const shown = { a, tie, b };
  for (const [key, name] of PARTS) {
    const part = el("span", { class: `part ${key}` }, label(shown[key], name));
    part.style.width = `${100 * probabilities[key]}%`;
    bar.append(part);
  }
  return bar;
}

/** The three probabilities in words: a legend of the bar, and a text for screen readers. */
export function shareList(probabilities) {
  const [a, tie, b] = ofHundred(PARTS.map(([key]) => probabilities[key]));
  const entry = (key, name, value) =>
    el("div", { class: key }, el("dt", {}, el("span", { class: `dot fill-${key}`, "aria-hidden": "true" }), name), el("dd", {}, `${value}%`));
  return el("dl", { class: "shares" }, entry("a", "Answer A", a), entry("tie", "Tie", tie), entry("b", "Answer B", b));
}

/** An effect as a bar from the middle: to the left, where A stands, or to the right. */
export function effectBar(effect, largest) {
  const part = el("span", { class: effect > 0 ? "part a" : "part b" });
  part.style.width = `${largest > 0 ? (50 * Math.abs(effect)) / largest : 0}%`;
  return el("div", { class: "effect", "aria-hidden": "true" }, part);
}
