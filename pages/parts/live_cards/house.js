// What is known of all devices, from the page's first data and from the stream, in whatever order they come. Pure.

const BIN_MS = 15000;
const BINS = 60;
// Commands that are remembered; a page asks for no more.
const COMMANDS_KEPT = 200;

class House {
  constructor() {
    this.devices = new Map();
    this.commands = new Map();
    this.hidden = new Set(); // names of devices that are not shown; only the page knows them
    this.version = 0;
    this.startedAt = 0;
    this.whole = null; // names seen since a whole state began, null while changes come
  }

  /** The id of the last change that is in here, as the stream names it. */
  get lastId() {
    return `${this.startedAt}-${this.version}`;
  }

  /** Take the page's data: {started_at, version, devices, commands}. What the stream brought later stays. */
  takeData(data) {
    const newer = data.started_at !== this.startedAt || data.version >= this.version;
    this.hidden = new Set(data.hidden ?? []);
    for (const given of data.devices) {
      if (newer || !this.devices.has(given.device)) this.takePresence(given);
      Object.assign(this.deviceOf(given.device), { title: given.title ?? null, area: given.area ?? null });
      for (const metric of given.metrics) this.takeMetric(given.device, metric);
      for (const actuator of given.actuators) this.takeState({ device: given.device, ...actuator });
    }
    for (const command of data.commands ?? []) this.takeCommand(command);
    if (!newer) return;
    const names = new Set(data.devices.map((given) => given.device));
    for (const name of [...this.devices.keys()]) if (!names.has(name)) this.devices.delete(name);
    this.startedAt = data.started_at;
    this.version = data.version;
  }

  /**
   * Take an event of the stream. An id that ends in -0 begins a whole state, which the next other id ends; what is not
   * in it goes. An empty id is of an event in the middle of changes: the last of them brings the new id.
   */
  takeEvent(kind, id, body) {
    const match = /^(\d+)-(\d+)$/.exec(id);
    const version = match === null ? null : Number(match[2]);
    if (version === 0) this.whole ??= new Set();
    this.whole?.add(body.device);
    if (kind === "presence") this.takePresence(body);
    else if (kind === "state") this.takeState(body);
    else if (kind === "reading") this.takeReading(body);
    else if (kind === "command") this.takeCommand(body);
    if (match === null) return;
    [this.startedAt, this.version] = [Number(match[1]), version];
    if (version > 0) this.endWhole();
  }

  /** A whole state is complete: forget the devices that were not in it. */
  endWhole() {
    if (this.whole === null) return;
    for (const name of [...this.devices.keys()]) if (!this.whole.has(name)) this.devices.delete(name);
    this.whole = null;
  }

  takePresence(given) {
    const device = this.deviceOf(given.device);
    if (given.last_seen < device.last_seen) return;
    Object.assign(device, { online: given.online, presence: given.presence, last_seen: given.last_seen });
    device.model = given.model ?? device.model;
    device.firmware = given.firmware ?? device.firmware;
    device.readings_per_minute = given.readings_per_minute ?? null;
  }

  takeState(given) {
    const device = this.deviceOf(given.device);
    const known = device.actuators.get(given.actuator);
    if (known === undefined || (given.since ?? 0) >= (known.since ?? 0)) {
      const { device: _, actuator, ...told } = given;
      device.actuators.set(actuator, { ...known, ...told });
    }
  }

  /** A command that has come as far as one that is known, or further. What an event leaves out stays as it was. */
  takeCommand(given) {
    const known = this.commands.get(given.id);
    const newest = known !== undefined && known.steps.length > given.steps.length ? known : given;
    this.commands.set(given.id, { ...known, ...newest, by: given.by ?? known?.by ?? null });
    if (this.commands.size > COMMANDS_KEPT) this.commands.delete(this.newestCommands().at(-1).id);
    const device = this.devices.get(given.device);
    if (device !== undefined) device.changed = true;
  }

  /** All commands that are known, newest first. */
  newestCommands() {
    return [...this.commands.values()].sort((one, other) => other.made_at - one.made_at || (other.id < one.id ? -1 : 1));
  }

  takeReading(given) {
    this.takeMetric(given.device, { ...given, bins: [[given.ts - (given.ts % BIN_MS), given.value, given.value, given.value]] });
  }

  takeMetric(name, given) {
    const device = this.deviceOf(name);
    const known = device.metrics.get(given.metric);
    if (known === undefined) {
      device.metrics.set(given.metric, { ...given, bins: trimmed(given.bins) });
    } else {
      const newer = given.received_at >= known.received_at && given.ts >= known.ts;
      known.bins = mergeBins(known.bins, given.bins, newer);
      if (newer) {
        Object.assign(known, { ts: given.ts, value: given.value, received_at: given.received_at, unit: given.unit });
        known.interval_ms = given.interval_ms ?? known.interval_ms;
      }
    }
    device.last_seen = Math.max(device.last_seen, given.received_at);
    device.changed = true;
  }

  /** All devices that are to be seen. */
  get shown() {
    return [...this.devices.values()].filter((device) => !this.hidden.has(device.name));
  }

  deviceOf(name) {
    let device = this.devices.get(name);
    if (device === undefined) {
      device = { name, title: null, area: null, online: null, last_seen: 0, model: null, firmware: null, readings_per_minute: null,
        metrics: new Map(), actuators: new Map() };
      this.devices.set(name, device);
    }
    device.changed = true;
    return device;
  }
}

/** What a device is called where people read. */
function titleOf(device) {
  return device.title ?? device.name;
}

/** Whether what somebody searches for, in small letters, stands in a device's names or its place. */
function fits(device, wanted) {
  return `${titleOf(device)}\n${device.name}\n${device.area ?? ""}`.toLowerCase().includes(wanted);
}

/** Two histories of one series as one, in order of time: [start, low, high, last] a bin. */
function mergeBins(known, given, givenIsNewer) {
  const byStart = new Map(known.map((bin) => [bin[0], bin]));
  for (const bin of given) {
    const other = byStart.get(bin[0]);
    if (other === undefined) byStart.set(bin[0], bin);
    else byStart.set(bin[0], [bin[0], Math.min(bin[1], other[1]), Math.max(bin[2], other[2]), givenIsNewer ? bin[3] : other[3]]);
  }
  return trimmed([...byStart.values()].sort((one, other) => one[0] - other[0]));
}

function trimmed(bins) {
  if (bins.length === 0) return bins;
  const oldest = bins[bins.length - 1][0] - (BINS - 1) * BIN_MS;
  return bins.filter((bin) => bin[0] >= oldest);
}
