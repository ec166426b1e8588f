// How good the forecasts of a file are, where it holds votes.

const SMALLEST = 1e-15;
const CLASSES = ["a", "b", "tie"];

/**
 * Log loss and accuracy of forecasts with votes, and the log loss of saying the shares of these votes every time.
 * @param {Array<{vote: string, forecast: object}>} rows
 */
export function figuresOf(rows) {
  const voted = rows.filter(({ vote }) => vote);
  if (!voted.length) return null;
  const mean = (value) => voted.reduce((sum, row) => sum + value(row), 0) / voted.length;
  const logLoss = mean(({ vote, forecast }) => -Math.log(Math.max(forecast.probabilities[vote], SMALLEST)));
  const accuracy = mean(({ vote, forecast }) => (forecast.decision === vote ? 1 : 0));
  const shares = CLASSES.map((name) => mean(({ vote }) => (vote === name ? 1 : 0)));
  const prior = -shares.filter((share) => share > 0).reduce((sum, share) => sum + share * Math.log(share), 0);
  return { votes: voted.length, logLoss, accuracy, prior };
}
