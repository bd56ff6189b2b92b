// Elements with text, the words of an actuator's state, and how a component is mounted. Nothing here takes markup. Needs format.js.

/** An element with a class and a text. */
function make(tag, name, text) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined) element.textContent = text;
  return element;
}

/** Write only what is different, so that nothing moves or is read out for nothing. */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** "on", "off", "40 %", or that it never told. */
function stateWord(actuator) {
  if (actuator.state === null) return "unknown";
  if (actuator.state === "ON" || actuator.state === "OFF") return actuator.state.toLowerCase();
  const number = Number(actuator.state);
  const text = actuator.state.trim() === "" || !Number.isFinite(number) ? actuator.state : formatNumber(number, decimalsFor([number]));
  return actuator.unit ? `${text} ${actuator.unit}` : text;
}

/** A search field and a menu of orders, hidden at first. `sorts`: [value, label] each; `changed` is called at each change. */
function makeTools(searched, sorted, sorts, changed) {
  const element = make("div", "tools");
  element.hidden = true;
  const search = make("input", "search");
  Object.assign(search, { type: "search", placeholder: "Search devices and places", autocomplete: "off", spellcheck: false });
  search.setAttribute("aria-label", searched);
  search.addEventListener("input", changed);
  const sort = make("select", "sort");
  sort.setAttribute("aria-label", sorted);
  for (const [value, label] of sorts) {
    const option = make("option", "", label);
    option.value = value;
    sort.append(option);
  }
  sort.addEventListener("change", changed);
  element.append(search, sort);
  return { element, search, sort };
}

const mounted = new WeakMap();

/** For a component that is called at each rerun and each change of theme: one `Kind` for its place on the page. */
function mount(Kind, component) {
  const place = component.parentElement;
  const known = mounted.get(place) ?? { shown: new Kind(place), calls: 0 };
  mounted.set(place, known);
  known.calls += 1;
  const call = known.calls;
  known.shown.take(component);
  return () => {
    if (call !== known.calls) return; // a newer call has taken over
    mounted.delete(place);
    known.shown.close();
  };
}
