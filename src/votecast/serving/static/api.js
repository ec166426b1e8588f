// Requests to the service, and its errors as messages for people.

const TRIES = 6;
const LONGEST_WAIT = 30;

/** An answer that is not what was asked for. */
export class ServiceError extends Error {
  /**
   * @param {string} message For the user.
   * @param {object} facts status (0 where there was no answer), errors (path and message each), retryAfter in seconds.
   */
  constructor(message, { status = 0, errors = [], retryAfter = null } = {}) {
    super(message);
    this.status = status;
    this.errors = errors;
    this.retryAfter = retryAfter;
  }

  /** Whether the same request may succeed later. */
  get passes() {
    return this.status === 429 || this.status === 503;
  }
}

const PLAIN = {
  401: "The service needs its key. Reload the page and give the key as the password.",
  403: "The service refuses this address. Open it under the address that it names at its start.",
  413: "These texts are longer than a request may be. Shorten them.",
  429: "The service is busy right now.",
  503: "The service is not ready right now.",
  504: "The judge took too long. Try shorter texts.",
};

/** GET (without a body) or POST a path; the JSON that comes back. */
export async function ask(path, body, signal) {
  const post = { method: "POST", headers: { "content-type": "application/json" }, body };
  let answer;
  try {
    answer = await fetch(path, { signal, credentials: "same-origin", ...(body === undefined ? {} : post) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError("The service cannot be reached. Is it still running?");
  }
  if (!answer.ok) throw await errorOf(answer);
  try {
    return await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError("The response ended early. Try again.");
  }
}

async function errorOf(answer) {
  const { error = {} } = await answer.json().catch(() => ({}));
  const wait = Number.parseFloat(answer.headers.get("retry-after"));
  const errors = Array.isArray(error.errors) ? error.errors : [];
  const message = PLAIN[answer.status] ?? error.message ?? `The service answered with status ${answer.status}.`;
  return new ServiceError(message, { status: answer.status, errors, retryAfter: Number.isFinite(wait) ? wait : null });
}

/**
 * Send a request, and retry after the seconds in Retry-After while the service is busy or loading.
 * @param {function(string): void} report Called with what is waited for.
 */
export async function askPatiently(path, body, signal, report = () => {}) {
  for (let left = TRIES; ; left -= 1) {
    try {
      return await ask(path, body, signal);
    } catch (error) {
      if (!(error instanceof ServiceError) || !error.passes || left <= 1) throw error;
      const wait = Math.min(Math.max(error.retryAfter ?? 1, 0.2), LONGEST_WAIT);
      report(`${error.message} Trying again in ${Math.ceil(wait)} s …`);
      await pause(wait * (1 + 0.2 * Math.random()), signal);
    }
  }
}

/** Wait some seconds; a signal ends it with an AbortError. */
export function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new DOMException("stopped", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, 1000 * seconds);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}
