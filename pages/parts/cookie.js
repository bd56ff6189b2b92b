// Brings a login into the browser's cookie, which no script can read, and takes its end to the server.

const TRIES = 4;
const WAIT_MS = 500;
// One after the other, and each once, however often the page is built anew.
const errands = (globalThis.smErrands ??= { last: null, chain: Promise.resolve() });

export default function ({ data }) {
  if (!data?.id || errands.last === data.id) return;
  errands.last = data.id;
  errands.chain = errands.chain.then(() => run(data));
}

/** A ticket is good for one time and a minute. Without the cookie this tab is logged in all the same, until a reload. */
async function run({ do: what, ticket }) {
  const url = new URL("api/session/", document.baseURI);
  const request =
    what === "begin"
      ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ ticket }) }
      : { method: "DELETE" };
  for (let tried = 0; tried < TRIES; tried += 1) {
    try {
      const answer = await fetch(url, { ...request, credentials: "same-origin" });
      if (answer.status < 500) return;
    } catch {
      // The connection was lost for a moment.
    }
    await new Promise((resolve) => setTimeout(resolve, WAIT_MS * 2 ** tried));
  }
}
