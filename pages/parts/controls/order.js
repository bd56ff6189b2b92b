// What is asked of an actuator, what came of it, and how that is said. Pure. Needs dom.js, format.js.

// How long a confirmation stays on its card, and how long a failure does while nothing newer is known.
const CONFIRMED_SHOWN_MS = 60000;
const FAILURE_SHOWN_MS = 3600000;
// A press that the server has not answered by then may not have arrived.
const UNANSWERED_MS = 10000;
// A report and the end of its command carry two clocks' readings of one moment.
const SAME_MOMENT_MS = 2000;
const OPEN = ["queued", "published"];
const STATUS_WORDS = {
  queued: ["waiting", "waits"], published: ["waiting", "sent"], confirmed: ["online", "confirmed"],
  failed: ["trouble", "failed"], expired: ["trouble", "expired"], contradicted: ["trouble", "contradicted"],
  cancelled: ["silent", "replaced"],
};

/** Whether it is on or off ("switch"), or has a number. */
function kindOf(actuator) {
  const { state, minimum, maximum, step, unit } = actuator;
  if ([minimum, maximum, step, unit].some((given) => given != null)) return "number";
  return state === null || state === "ON" || state === "OFF" ? "switch" : "number";
}

function isOpen(command) {
  return OPEN.includes(command.status);
}

function lastStep(command) {
  return command.steps[command.steps.length - 1];
}

/** When it ended, UTC ms; null while it is open. */
function endOf(command) {
  return isOpen(command) ? null : lastStep(command).at;
}

/** What is asked for now: by a press that is on its way, else by an open command; null if nothing is. */
function wantedOf(command, press) {
  if (press !== undefined && press.problem === null) return String(press.order);
  return command !== undefined && isOpen(command) ? command.state : null;
}

/** The states that a switch can be asked for: the other one, or both where nobody knows how it stands. */
function targetsOf(actuator, command, press) {
  const base = wantedOf(command, press) ?? actuator.state;
  if (base === null) return ["ON", "OFF"];
  return base === "ON" ? ["OFF"] : ["ON"];
}

/** "0.4 s" up to ten seconds, then as any other length of time. */
function shortSpan(ms) {
  const tenths = Math.max(0, Math.floor(ms / 100));
  return tenths < 100 ? `${(tenths / 10).toFixed(1)} s` : formatSpan(ms);
}

/**
 * What lies between what was asked for and what is: {kind: "waiting" | "done" | "trouble" | "told", text, again, share}.
 * `again`: what can be asked for once more. `share`: how much of its time is over, 0 to 1. Null if there is nothing.
 */
function progressOf({ actuator, command, press, now, kind }) {
  const word = (state) => stateWord({ state: String(state), unit: actuator.unit });
  if (press !== undefined) {
    if (press.problem !== null) return { kind: "trouble", text: press.problem, again: press.order };
    return { kind: "waiting", text: `Asked for ${word(press.order)}, telling the server` };
  }
  if (command === undefined) return null;
  const end = endOf(command);
  if (end === null) return waiting(command, word(command.state), now, kind);
  const newer = actuator.since !== null && actuator.since > end + SAME_MOMENT_MS;
  if (command.status === "confirmed") {
    if (newer || now - end > CONFIRMED_SHOWN_MS) return null;
    return { kind: "done", text: `Confirmed after ${shortSpan(end - command.made_at)}` };
  }
  if (newer || now - end > FAILURE_SHOWN_MS) return null;
  if (command.status === "cancelled") return { kind: "told", text: lastStep(command).evidence || "Something newer was asked for." };
  const orderAgain = kindOf(actuator) === "number" ? Number(command.state) : command.state;
  return { kind: "trouble", text: `Asked for ${word(command.state)}: ${STATUS_WORDS[command.status][1]}. ${lastStep(command).evidence}`, again: orderAgain };
}

function waiting(command, word, now, kind) {
  const ago = `Asked for ${word} ${shortSpan(now - command.made_at)} ago`;
  const share = Math.min(1, Math.max(0, (now - command.made_at) / Math.max(1, command.deadline_at - command.made_at)));
  if (command.status === "published") return { kind: "waiting", text: `${ago}, waiting for the device`, share };
  const why = kind === "silent" ? `not sent: the device is offline. Expires in ${shortSpan(command.deadline_at - now)}` : "not sent yet";
  return { kind: "waiting", text: `${ago}, ${why}`, share };
}

/** Who brought an actuator to the state it reports: the maker of the command that this report confirmed, else null. */
function broughtBy(actuator, commands) {
  const command = commands.find((one) => one.status === "confirmed" && one.state === actuator.state);
  if (command === undefined || actuator.since === null) return null;
  return Math.abs(endOf(command) - actuator.since) <= SAME_MOMENT_MS ? command.by : null;
}

/** An order for a number field: the number if it can be asked for, else what is wrong with it as {problem}. */
function orderOf(text, actuator) {
  const value = text.trim() === "" ? NaN : Number(text);
  const { minimum, maximum, unit } = actuator;
  const named = (number) => stateWord({ state: String(number), unit });
  if (!Number.isFinite(value)) return { problem: "Type a number." };
  if (minimum != null && value < minimum) return { problem: `The least is ${named(minimum)}.` };
  if (maximum != null && value > maximum) return { problem: `The most is ${named(maximum)}.` };
  return { order: value };
}

/** How several actuators stand, in words: "3 on, 1 off, 1 unknown". */
function standOf(actuators) {
  const counted = new Map([["on", 0], ["off", 0], ["unknown", 0]]);
  for (const actuator of actuators) {
    const word = stateWord(actuator);
    counted.set(word, (counted.get(word) ?? 0) + 1);
  }
  return [...counted].filter(([, count]) => count > 0).map(([word, count]) => `${count} ${word}`).join(", ");
}

/**
 * What came of one order to several actuators: {text, open, bad: [[device, text]]}. `runs`: a {device, press, command}
 * each, of which one is undefined.
 */
function groupOutcome(order, unit, runs) {
  const counted = new Map();
  const bad = [];
  for (const { device, press, command } of runs) {
    let word = "asked";
    if (press !== undefined) word = press.problem === null ? "asked" : "not asked";
    else if (command !== undefined) word = isOpen(command) ? "waiting" : STATUS_WORDS[command.status][1];
    counted.set(word, (counted.get(word) ?? 0) + 1);
    if (press?.problem) bad.push([device, press.problem]);
    else if (command !== undefined && ["failed", "expired", "contradicted"].includes(command.status)) {
      bad.push([device, `${STATUS_WORDS[command.status][1]}. ${lastStep(command).evidence}`]);
    }
  }
  const parts = [...counted].map(([word, count]) => `${count} ${word}`).join(", ");
  const open = (counted.get("asked") ?? 0) + (counted.get("waiting") ?? 0) > 0;
  return { text: `Asked ${runs.length} for ${stateWord({ state: order, unit })}: ${parts}`, open, bad };
}
