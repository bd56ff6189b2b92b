// One device as a card. Names and units go in as text, never as markup. Needs dom.js, format.js, standing.js, sparkline.js.

const SHOWN_METRICS = 4;
/** How metrics begin that tell how a board itself is doing, not what it measures. */
const VITALS = "vitals.";
const SVG = "http://www.w3.org/2000/svg";

class Card {
  constructor(device, onChosen) {
    this.device = device;
    this.metrics = new Map();
    this.kind = null;
    this.element = make("li", "card");
    const head = make("div", "head");
    const heading = make("h3", "name");
    this.button = make("button", "", titleOf(device));
    this.button.type = "button";
    this.button.addEventListener("click", () => onChosen(device.name));
    heading.append(this.button);
    this.place = make("p", "place");
    this.standing = make("span", "standing");
    this.word = make("span", "word");
    this.standing.append(make("span", "shape"), this.word);
    head.append(heading, this.standing);
    this.body = make("dl", "metrics");
    this.more = make("p", "more");
    const foot = make("p", "foot");
    const heard = make("span");
    this.fresh = make("span", "fresh");
    this.rate = make("span", "rate");
    heard.append(this.fresh, this.rate);
    this.actuators = make("span", "actuators");
    foot.append(heard, this.actuators);
    this.element.append(head, this.place, this.body, this.more, foot);
  }

  /** Show what changed in the device. */
  paint(now, zone, colours) {
    write(this.button, titleOf(this.device));
    if (this.button.title !== this.device.name) this.button.title = this.device.name;
    write(this.place, this.device.area ?? "");
    const names = [...this.device.metrics.keys()].sort();
    const measured = names.filter((name) => !name.startsWith(VITALS));
    const shown = (measured.length ? measured : names).slice(0, SHOWN_METRICS);
    for (const [name, row] of this.metrics) {
      if (!shown.includes(name)) {
        row.element.remove();
        this.metrics.delete(name);
      }
    }
    shown.forEach((name, index) => {
      if (!this.metrics.has(name)) this.metrics.set(name, new MetricRow(name));
      const row = this.metrics.get(name);
      if (this.body.children[index] !== row.element) this.body.insertBefore(row.element, this.body.children[index] ?? null);
      row.element.style.setProperty("--series", colours[index % colours.length]);
      row.paint(this.device.metrics.get(name), now, zone);
    });
    const rest = names.length - shown.length;
    write(this.more, rest > 0 ? `and ${rest} more` : "");
    this.paintActuators(now, zone);
    this.tick(now, zone);
  }

  paintActuators(now, zone) {
    const named = [...this.device.actuators].sort();
    write(this.actuators, named.map(([name, actuator]) => `${name} ${stateWord(actuator)}`).join(", "));
    this.actuators.title = named
      .filter(([, actuator]) => actuator.since !== null)
      .map(([name, actuator]) => `${name} ${stateWord(actuator)} since ${formatExact(actuator.since, zone)}`)
      .join("\n");
  }

  /** Show what time alone changes. Returns the kind of standing, which nobody knows anew while the stream is lost. */
  tick(now, zone, lost) {
    if (lost && this.kind !== null) {
      const heard = lastReading(this.device);
      if (heard !== null) write(this.fresh, `at ${formatClock(heard.received_at, zone)}`);
      return this.kind;
    }
    const { kind, text } = standingOf(this.device, now, zone);
    if (kind !== this.kind) {
      this.kind = kind;
      this.element.dataset.kind = kind;
      this.standing.firstChild.className = `shape ${kind}`;
      write(this.word, kind);
    }
    write(this.fresh, text);
    this.tickRate(kind);
    const last = lastReading(this.device);
    const exact = last === null ? "" : `Last reading ${formatExact(last.ts, zone)}`;
    if (this.fresh.title !== exact) this.fresh.title = exact;
    for (const row of this.metrics.values()) row.tick(now, zone, kind !== "online");
    return kind;
  }

  /** How much it sends, while it does: of a device that is late or silent the last rate is no longer true. */
  tickRate(kind) {
    const rate = kind === "online" ? this.device.readings_per_minute : null;
    const text = rate === null ? "" : formatNumber(rate, decimalsFor([rate]));
    write(this.rate, text && ` \u00b7 ${text}/min`);
    const title = text && `${text} readings a minute`;
    if (this.rate.title !== title) this.rate.title = title;
  }

  choose(chosen) {
    this.element.classList.toggle("chosen", chosen);
    this.button.setAttribute("aria-pressed", String(chosen));
  }
}

class MetricRow {
  constructor(name) {
    this.metric = null;
    this.drawnAt = 0;
    this.element = make("div", "metric");
    this.value = make("span", "value");
    this.unit = make("span", "unit");
    this.note = make("span", "note");
    const figures = make("dd", "figures");
    figures.append(this.value, this.unit, this.note);
    this.picture = document.createElementNS(SVG, "svg");
    this.picture.setAttribute("class", "spark");
    this.picture.setAttribute("viewBox", `0 0 ${SPARK_WIDTH} ${SPARK_HEIGHT}`);
    this.picture.setAttribute("preserveAspectRatio", "none");
    this.picture.setAttribute("aria-hidden", "true");
    this.band = this.picture.appendChild(document.createElementNS(SVG, "path"));
    this.band.setAttribute("class", "band");
    this.line = this.picture.appendChild(document.createElementNS(SVG, "path"));
    this.line.setAttribute("class", "line");
    this.line.setAttribute("vector-effect", "non-scaling-stroke");
    this.end = this.picture.appendChild(document.createElementNS(SVG, "path"));
    this.end.setAttribute("class", "end");
    this.end.setAttribute("vector-effect", "non-scaling-stroke");
    const spark = make("dd", "history");
    spark.append(this.picture);
    this.history = spark;
    this.element.append(make("dt", "label", name), figures, spark);
  }

  paint(metric, now, zone) {
    this.metric = metric;
    const decimals = decimalsFor([metric.value, ...metric.bins.flatMap((bin) => [bin[1], bin[2], bin[3]])]);
    write(this.value, formatNumber(metric.value, decimals));
    write(this.unit, metric.unit ?? "");
    this.value.title = `${metric.value} at ${formatExact(metric.ts, zone)}`;
    if (metric.bins.length > 0) {
      const low = formatNumber(Math.min(...metric.bins.map((bin) => bin[1])), decimals);
      const high = formatNumber(Math.max(...metric.bins.map((bin) => bin[2])), decimals);
      this.history.title = `Last 15 minutes: ${low} to ${high} ${metric.unit ?? ""}`;
    }
    this.draw(now);
  }

  draw(now) {
    const { band, line, end } = sparklineOf(this.metric.bins, this.metric.interval_ms, now);
    this.drawnAt = now;
    this.band.setAttribute("d", band);
    this.line.setAttribute("d", line);
    this.end.setAttribute("d", end === null ? "" : `M${end[0].toFixed(1)} ${end[1].toFixed(1)}h0.01`);
  }

  /** `told`: the card says already that its device is late or silent. */
  tick(now, zone, told) {
    const late = isLate(this.metric, now);
    this.element.classList.toggle("old", late || told);
    write(this.note, !told && late ? formatAge(this.metric.received_at, now, zone) : "");
    if (Math.abs(now - this.drawnAt) > BIN_MS / 2) this.draw(now);
  }
}
