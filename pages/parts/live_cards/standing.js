// Whether a device is online, late, silent or unknown, and how that is said. Pure. Needs format.js.

const LATE_AFTER_INTERVALS = 3;
const SILENT_AFTER_INTERVALS = 20;
const SILENT_AFTER_MS = 300000;
// Without a habit to compare with: one reading so far.
const INTERVAL_UNKNOWN_MS = 100000;
// The worker stores in batches and the stream sends four times a second.
const SLACK_MS = 1000;

// What the server says of presence, as the pages call it: offline is silent.
const KIND_OF = { online: "online", late: "late", offline: "silent", unknown: "unknown" };

/**
 * {kind: "online" | "late" | "silent" | "unknown", text: its freshness in words}. Times are UTC ms by the server's
 * clock. The server says what kind it is, because it alone knows whether it listens; where it does not, silence does.
 */
function standingOf(device, now, zone) {
  const told = KIND_OF[device.presence];
  return told === undefined ? standingBySilence(device, now, zone) : standingAs(told, device, now, zone);
}

function standingAs(kind, device, now, zone) {
  const heard = lastReading(device);
  const at = Math.max(device.last_seen, heard === null ? 0 : heard.received_at);
  if (kind === "silent") return { kind, text: silentSince(at, now, zone) };
  if (kind === "unknown") return { kind, text: at > 0 ? `Last heard ${formatAge(at, now, zone)}` : "Never heard" };
  if (heard === null) return { kind, text: "No readings yet" };
  const ago = formatAge(heard.received_at, now, zone);
  const usual = kind !== "late" || heard.interval_ms === null ? "" : `, usually every ${formatSpan(heard.interval_ms)}`;
  return { kind, text: ago + usual };
}

function standingBySilence(device, now, zone) {
  const heard = lastReading(device);
  if (device.online === false) return { kind: "silent", text: silentSince(device.last_seen, now, zone) };
  if (heard === null) {
    const kind = device.online || now - device.last_seen < SILENT_AFTER_MS ? "online" : "silent";
    return { kind, text: kind === "online" ? "No readings yet" : silentSince(device.last_seen, now, zone) };
  }
  const age = now - heard.received_at;
  const interval = heard.interval_ms ?? INTERVAL_UNKNOWN_MS;
  if (age > Math.max(SILENT_AFTER_MS, SILENT_AFTER_INTERVALS * interval)) {
    return { kind: "silent", text: silentSince(heard.received_at, now, zone) };
  }
  const ago = formatAge(heard.received_at, now, zone);
  if (!isLate(heard, now)) return { kind: "online", text: ago };
  const usual = heard.interval_ms === null ? "" : `, usually every ${formatSpan(interval)}`;
  return { kind: "late", text: ago + usual };
}

/** Whether a metric is later than three of its usual intervals. */
function isLate(metric, now) {
  const interval = metric.interval_ms ?? INTERVAL_UNKNOWN_MS;
  return now - metric.received_at > LATE_AFTER_INTERVALS * interval + SLACK_MS;
}

function silentSince(ts, now, zone) {
  return ts > 0 ? `Silent since ${formatMoment(ts, now, zone)}` : "Silent, never heard";
}

function lastReading(device) {
  let last = null;
  for (const metric of device.metrics.values()) {
    if (last === null || metric.received_at > last.received_at) last = metric;
  }
  return last;
}
