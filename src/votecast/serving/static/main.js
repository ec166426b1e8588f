// Starts the page: its two views, the judges to choose from, and what to show while they are loading.

import { ServiceError, ask, pause } from "./api.js";
import { startCompare } from "./compare.js";
import { byId, el, fill, setText } from "./dom.js";
import { startFile } from "./file.js";

const VIEWS = { compare: "Compare two answers", file: "Predict a file" };

/** The judges that the service knows, and the one that is chosen. */
class Judges {
  #known = [];

  constructor() {
    byId("judge").addEventListener("change", () => this.#describe());
  }

  /** The chosen one; null before they are known. */
  chosen() {
    return this.#known[byId("judge").selectedIndex] ?? null;
  }

  /** Ask until the service lists them, and show what is waited for. */
  async load() {
    for (;;) {
      try {
        const { judges } = await ask("v1/judges");
        this.#show(judges);
        byId("banner").hidden = true;
        return;
      } catch (error) {
        if (!(error instanceof ServiceError)) throw error;
        const loading = error.status === 503;
        const text = loading ? "The judges are being loaded; this page continues when they are ready." : error.message;
        if (byId("banner").textContent !== text) setText(byId("banner"), text);
        byId("banner").hidden = false;
        await pause(loading ? Math.min(error.retryAfter ?? 1, 5) : 3);
      }
    }
  }

  #show(judges) {
    this.#known = judges;
    fill(byId("judge"), judges.map((judge) => el("option", { value: judge.name }, judge.name)));
    byId("judge").disabled = judges.length === 0;
    this.#describe();
  }

  #describe() {
    const judge = this.chosen();
    if (!judge) return;
    const loss = judge.figures?.metrics?.log_loss?.value;
    const figure = typeof loss === "number" ? ` · log loss ${loss.toFixed(3)} out of fold` : "";
    setText(byId("judge-facts"), `${judge.family}${figure} · ${judge.hash.slice(0, 12)}`);
  }
}

/** Show the view that the address names. */
function showView(move) {
  const named = location.hash.slice(1);
  const known = Object.hasOwn(VIEWS, named);
  if (move && !known) return;
  const view = known ? named : "compare";
  for (const name of Object.keys(VIEWS)) {
    byId(`view-${name}`).hidden = name !== view;
    const link = document.querySelector(`[data-view="${name}"]`);
    if (name === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${VIEWS[view]} · votecast`;
  if (move) byId(`${view}-title`).focus();
}

addEventListener("hashchange", () => showView(true));
showView(false);
const judges = new Judges();
startCompare(judges);
startFile(judges);
judges.load();
