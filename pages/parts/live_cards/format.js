// Numbers, ages and times in words. Pure; the same rules as pages/parts/format.py, tested by the same cases.

const MINUS = "\u2212";
const SUPERSCRIPT = { "-": "\u207b", 0: "\u2070", 1: "\u00b9", 2: "\u00b2", 3: "\u00b3", 4: "\u2074", 5: "\u2075",
  6: "\u2076", 7: "\u2077", 8: "\u2078", 9: "\u2079" };

/** A number with so many decimals, thousands grouped, a real minus sign. Powers of ten where digits would not fit. */
function formatNumber(value, decimals) {
  const size = Math.abs(value);
  if (size >= 1e9 || (size > 0 && size < 0.001)) return powerOfTen(value);
  const [whole, fraction] = size.toFixed(decimals).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  const text = fraction === undefined ? grouped : `${grouped}.${fraction}`;
  return value < 0 && /[1-9]/.test(text) ? MINUS + text : text;
}

function powerOfTen(value) {
  const [digits, exponent] = Math.abs(value).toExponential(2).split("e");
  const raised = [...String(Number(exponent))].map((sign) => SUPERSCRIPT[sign]).join("");
  return `${value < 0 ? MINUS : ""}${digits} \u00d7 10${raised}`;
}

/** How many decimals the sensor deserves: as many as it sends, at most three, fewer where the values are large. */
function decimalsFor(values) {
  if (values.length === 0) return 1;
  for (let decimals = 0; decimals <= 3; decimals += 1) {
    const step = 10 ** decimals;
    if (values.every((value) => Math.abs(Math.round(value * step) / step - value) <= 1e-9 * Math.max(1, Math.abs(value)))) {
      return decimals;
    }
  }
  const size = Math.max(...values.map(Math.abs));
  if (size >= 1000) return 0;
  if (size >= 100) return 1;
  return size >= 1 ? 2 : 3;
}

/** A length of time in its largest fitting unit: "2 ms", "5 s", "3 min", "2 h", "4 days". */
function formatSpan(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 1) return `${Math.floor(seconds * 1000)} ms`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

/** How long ago, up to an hour in words, then the clock, then the date. */
function formatAge(ts, now, zone) {
  const age = now - ts;
  if (age < 1000) return "just now";
  return age < 3600000 ? `${formatSpan(age)} ago` : `at ${formatMoment(ts, now, zone)}`;
}

/** "14:02" today, "22 Nov, 14:02" this year, "22 Nov 2025, 14:02" before. */
function formatMoment(ts, now, zone) {
  const then = clockParts(ts, zone);
  const today = clockParts(now, zone);
  const clock = `${then.hour}:${then.minute}`;
  if (then.year !== today.year) return `${then.day} ${then.month} ${then.year}, ${clock}`;
  if (then.month !== today.month || then.day !== today.day) return `${then.day} ${then.month}, ${clock}`;
  return clock;
}

/** "14:02:11" */
function formatClock(ts, zone) {
  const then = clockParts(ts, zone);
  return `${then.hour}:${then.minute}:${then.second}`;
}

/** The whole time with its zone, to show on hover: "23 Nov 2026, 14:02:11 (Europe/Berlin)". */
function formatExact(ts, zone) {
  const then = clockParts(ts, zone);
  return `${then.day} ${then.month} ${then.year}, ${then.hour}:${then.minute}:${then.second} (${zone})`;
}

const clocks = new Map();

function clockParts(ts, zone) {
  if (!clocks.has(zone)) {
    clocks.set(zone, new Intl.DateTimeFormat("en-US", { timeZone: zone, hourCycle: "h23", year: "numeric",
      month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" }));
  }
  return Object.fromEntries(clocks.get(zone).formatToParts(ts).map((part) => [part.type, part.value]));
}
