// The metrics of the predictions of a file with votes.

const SMALLEST = 1e-15;
const CLASSES = ["a", "b", "tie"];

/**
 * Log loss and accuracy of predictions with votes, and the log loss of the class prior.
 * @param {Array<{vote: string, prediction: object}>} rows
 */
export function figuresOf(rows) {
  const voted = rows.filter(({ vote }) => vote);
  if (!voted.length) return null;
  const mean = (value) => voted.reduce((sum, row) => sum + value(row), 0) / voted.length;
  const logLoss = mean(({ vote, prediction }) => -Math.log(Math.max(prediction.probabilities[vote], SMALLEST)));
  const accuracy = mean(({ vote, prediction }) => (prediction.decision === vote ? 1 : 0));
  const shares = CLASSES.map((name) => mean(({ vote }) => (vote === name ? 1 : 0)));
  const prior = -shares.filter((share) => share > 0).reduce((sum, share) => sum + share * Math.log(share), 0);
  return { votes: voted.length, logLoss, accuracy, prior };
}
