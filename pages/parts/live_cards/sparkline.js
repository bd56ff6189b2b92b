// The last quarter of an hour as a small picture: a band from lowest to highest, a line over it, gaps as gaps.

const SPARK_WIDTH = 120;
const SPARK_HEIGHT = 32;
const SPARK_MS = 900000;
const SPARK_PAD = 3;

/** {band, line, end} as SVG paths; `end` is where the newest bin lies, null if it is out of the picture. Pure. */
function sparklineOf(bins, intervalMs, now) {
  const start = now - SPARK_MS;
  const shown = bins.filter((bin) => bin[0] + BIN_MS > start && bin[0] <= now);
  if (shown.length === 0) return { band: "", line: "", end: null };
  let low = Math.min(...shown.map((bin) => bin[1]));
  let high = Math.max(...shown.map((bin) => bin[2]));
  if (high - low < 1e-9 * Math.max(1, Math.abs(high))) [low, high] = [low - 1, high + 1];
  const x = (bin) => Math.min(SPARK_WIDTH, Math.max(0, ((Math.min(bin[0] + BIN_MS / 2, now) - start) / SPARK_MS) * SPARK_WIDTH));
  const y = (value) => SPARK_HEIGHT - SPARK_PAD - ((value - low) / (high - low)) * (SPARK_HEIGHT - 2 * SPARK_PAD);
  const at = (bin, value) => `${x(bin).toFixed(1)} ${y(value).toFixed(1)}`;
  let band = "";
  let line = "";
  for (const run of runsOf(shown, intervalMs)) {
    const last = run.map((bin) => at(bin, bin[3]));
    line += `M${last.join("L")}${run.length === 1 ? "h0.01" : ""}`;
    const upper = run.map((bin) => at(bin, bin[2]));
    const lower = run.map((bin) => at(bin, bin[1])).reverse();
    if (run.length > 1) band += `M${upper.join("L")}L${lower.join("L")}Z`;
  }
  const newest = shown[shown.length - 1];
  return { band, line, end: [x(newest), y(newest[3])] };
}

/** Bins in runs without a gap: no more than three usual intervals and a bin apart. */
function runsOf(bins, intervalMs) {
  const farthest = Math.max(BIN_MS, LATE_AFTER_INTERVALS * (intervalMs ?? BIN_MS)) + BIN_MS;
  const runs = [[bins[0]]];
  for (let index = 1; index < bins.length; index += 1) {
    if (bins[index][0] - bins[index - 1][0] > farthest) runs.push([]);
    runs[runs.length - 1].push(bins[index]);
  }
  return runs;
}
