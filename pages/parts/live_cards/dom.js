// Elements with text, and the words of an actuator's state. Nothing here takes markup. Needs format.js.

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
