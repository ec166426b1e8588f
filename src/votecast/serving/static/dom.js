// Elements from names, attributes and texts. Texts are set as text: nothing of a user or a file becomes markup.

/** The element with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/**
 * Make an element.
 * @param {string} tag Its name.
 * @param {object} attributes Attributes; a function under "onclick" and the like is added as a listener, and false,
 *   null and undefined leave an attribute out.
 * @param {...(Node|string|null)} children Elements, or texts.
 */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** Put these children in the place of what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
}

/** A text in the language direction that its first letters ask for. */
export function foreign(tag, text, attributes = {}) {
  return el(tag, { dir: "auto", ...attributes }, text);
}

/** Set a text; screen readers announce it if the element is in a live region. */
export function setText(element, text) {
  element.textContent = text;
}

/** Bring an element into view, at once where motion is not wanted. */
export function reveal(element) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  element.scrollIntoView({ block: "nearest", behavior: still ? "auto" : "smooth" });
}

/** Hand a text to the user as a file. */
export function download(name, type, parts) {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  const link = el("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
