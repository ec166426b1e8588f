// Sending many pairs to the service: in batches that it takes, a few at the same time, at the pace of the service.

import { ServiceError, ask, pause } from "./api.js";
import { size } from "./words.js";

export const LIMITS = { battles: 32, bytes: 1_900_000, parallel: 4 };
const FIRST = 4;
const QUICK = 4;
const SLOW = 10;
const PATIENCE = 60;
const BROKEN = 3;

/**
 * Split rows into batches.
 * @param {object[]} rows Each with a battle.
 * @param {function(object, string): void} refuse Called with rows that no request can hold.
 */
export function* batchesOf(rows, refuse, limits = LIMITS) {
  const encoder = new TextEncoder();
  let batch = [];
  let bytes = 0;
  for (const row of rows) {
    const long = encoder.encode(JSON.stringify(row.battle)).length;
    if (long > limits.bytes) {
      refuse(row, `its texts are ${size(long)} long; a request holds ${size(limits.bytes)}`);
      continue;
    }
    if (batch.length >= limits.battles || bytes + long > limits.bytes) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(row);
    bytes += long + 1;
  }
  if (batch.length) yield batch;
}

/**
 * Predict rows.
 * @param {object[]} rows
 * @param {string|null} judge
 * @param {object} on done(row, prediction), failed(row, reason), judged({name, hash}) and waiting(text).
 * @param {AbortSignal} signal Ends it with an AbortError; what is done stays done.
 */
export async function predictAll(rows, judge, on, signal) {
  const pace = { ...LIMITS, battles: FIRST };
  const batches = batchesOf(rows, on.failed, pace);
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const work = async () => {
    for (const batch of batches) {
      const started = performance.now();
      await sendBatch(batch, judge, on, either);
      setPace(pace, (performance.now() - started) / 1000);
    }
  };
  const working = Array.from({ length: LIMITS.parallel }, work);
  try {
    await Promise.all(working);
  } catch (error) {
    stop.abort();
    await Promise.allSettled(working);
    throw error;
  }
}

/** Larger batches for a quick judge, smaller ones for a slow one, so that progress is seen and no request times out. */
function setPace(pace, seconds) {
  if (seconds < QUICK) pace.battles = Math.min(2 * pace.battles, LIMITS.battles);
  else if (seconds > SLOW) pace.battles = Math.max(1, Math.floor(pace.battles / 2));
}

async function sendBatch(batch, judge, on, signal) {
  const body = JSON.stringify({ battles: batch.map(({ battle }) => battle), ...(judge ? { judge } : {}), order: "both" });
  let answer;
  try {
    answer = await patiently(body, on.waiting, signal);
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    await again(batch, error, judge, on, signal);
    return;
  }
  on.judged(answer.judge);
  batch.forEach((row, place) => on.done(row, answer.predictions[place]));
}

/** Retry the rows of a refused batch that have no fault, in smaller batches if no row is named. */
async function again(batch, error, judge, on, signal) {
  if (![413, 422, 504].includes(error.status)) throw error;
  const blamed = new Map();
  for (const { path, message } of error.errors) {
    const found = /^battles\.(\d+)(?:\.(.*))?$/.exec(path);
    if (found && batch[Number(found[1])]) blamed.set(Number(found[1]), found[2] ? `${found[2]}: ${message}` : message);
  }
  if (blamed.size) {
    for (const [place, reason] of blamed) on.failed(batch[place], reason);
    const others = batch.filter((_, place) => !blamed.has(place));
    if (others.length) await sendBatch(others, judge, on, signal);
  } else if (batch.length > 1) {
    const half = Math.ceil(batch.length / 2);
    await sendBatch(batch.slice(0, half), judge, on, signal);
    await sendBatch(batch.slice(half), judge, on, signal);
  } else on.failed(batch[0], error.message);
}

async function patiently(body, waiting, signal) {
  let broken = 0;
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask("v1/compare/batch", body, signal);
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      broken += error.status === 0 ? 1 : 0;
      if (!(error.passes || error.status === 0) || tries >= PATIENCE || broken >= BROKEN) throw error;
      const wait = Math.min(Math.max(error.retryAfter ?? 1, 0.2), 30);
      waiting(error.status === 0 ? "the service does not answer; trying again" : "the service is busy; waiting for it");
      await pause(wait * (1 + 0.5 * Math.random()), signal);
    }
  }
}
