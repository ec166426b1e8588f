// Numbers and decisions in words.

const NAMES = { a: "Answer A", b: "Answer B", tie: "Tie" };
const BEHIND = { a: "answer A", b: "answer B", tie: "a tie" };
const CLOSE = 0.05;

/** Whole numbers that add up to 100, as near to the shares as can be. */
export function ofHundred(shares) {
  const exact = shares.map((share) => 100 * share);
  const whole = exact.map(Math.floor);
  const left = 100 - whole.reduce((sum, value) => sum + value, 0);
  const order = exact.map((value, place) => [value - whole[place], place]).sort((x, y) => y[0] - x[0] || x[1] - y[1]);
  for (const [, place] of order.slice(0, left)) whole[place] += 1;
  return whole;
}

/** The name of a class: a, b or tie. */
export function nameOf(decision) {
  return NAMES[decision];
}

/** A prediction as a headline and a sentence. */
export function inWords({ probabilities: p, decision }) {
  const [a, b, tie] = ofHundred([p.a, p.b, p.tie]);
  const second = ["a", "b", "tie"].filter((name) => name !== decision).reduce((one, other) => (p[other] > p[one] ? other : one));
  const close = p[decision] - p[second] < CLOSE;
  const wins = close ? `is narrowly ahead of ${BEHIND[second]}` : "is expected to win";
  const title = decision === "tie" ? (close ? "Close to a tie" : "A tie is expected") : `${NAMES[decision]} ${wins}`;
  return { title, text: `Of 100 voters, ${a} would choose answer A, ${b} answer B, and ${tie} would call it a tie.` };
}

/** A number with its unit, in the singular or the plural. */
export function count(number, word, plural = `${word}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? word : plural}`;
}

/** A rough time to wait. */
export function duration(seconds) {
  if (seconds < 1.5) return "about a second";
  if (seconds < 90) return `about ${Math.round(seconds)} seconds`;
  return `about ${Math.round(seconds / 60)} minutes`;
}

/** Bytes for people. */
export function size(bytes) {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** The start of a text, on one line. */
export function brief(text, most = 90) {
  const line = text.slice(0, 4 * most).replace(/\s+/g, " ").trim();
  const letters = Array.from(line);
  return letters.length > most || text.length > 4 * most ? `${letters.slice(0, most).join("")}…` : line;
}
