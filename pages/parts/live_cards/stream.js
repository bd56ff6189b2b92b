// The server's event stream: open while somebody looks, closed in a hidden tab, opened again after a loss.

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 15000;
// A loss shorter than this is not worth a word.
const UNNOTICED_MS = 1500;
const STREAM_KINDS = ["presence", "reading", "state", "command"];

class Stream {
  /** `on`: take(kind, id, body), up(awayMs), down(lostAt). `lastId()` says where to go on. */
  constructor(url, lastId, on) {
    Object.assign(this, { url, lastId, on, source: null, wait: FIRST_WAIT_MS, retry: 0, notice: 0, lostAt: null });
    this.onVisibility = () => (document.hidden ? this.pause() : this.open());
    document.addEventListener("visibilitychange", this.onVisibility);
    if (document.hidden) this.lostAt = Date.now();
    else this.open();
  }

  open() {
    if (this.source !== null) return;
    clearTimeout(this.retry);
    if (this.lostAt !== null) this.noticeSoon();
    const url = new URL(this.url);
    url.searchParams.set("last_event_id", this.lastId());
    const source = new EventSource(url);
    this.source = source;
    source.onopen = () => this.opened();
    source.onerror = () => this.lost();
    source.addEventListener("end", () => this.lost());
    for (const kind of STREAM_KINDS) {
      source.addEventListener(kind, (event) => {
        this.wait = FIRST_WAIT_MS;
        this.on.take(kind, event.lastEventId, JSON.parse(event.data));
      });
    }
  }

  opened() {
    this.forgetNotice();
    const away = this.lostAt === null ? 0 : Date.now() - this.lostAt;
    this.lostAt = null;
    this.on.up(away);
  }

  /** It broke, or the server ends it because it stops. Try again, each time a little later. */
  lost() {
    this.shut();
    this.lostAt ??= Date.now();
    this.noticeSoon();
    this.retry = setTimeout(() => this.open(), this.wait * (0.75 + Math.random() / 2));
    this.wait = Math.min(LONGEST_WAIT_MS, this.wait * 2);
  }

  pause() {
    clearTimeout(this.retry);
    this.forgetNotice();
    this.shut();
    this.lostAt ??= Date.now();
    this.wait = FIRST_WAIT_MS;
  }

  noticeSoon() {
    if (this.notice === 0) this.notice = setTimeout(() => this.on.down(this.lostAt), UNNOTICED_MS);
  }

  forgetNotice() {
    clearTimeout(this.notice);
    this.notice = 0;
  }

  shut() {
    this.source?.close();
    this.source = null;
  }

  close() {
    document.removeEventListener("visibilitychange", this.onVisibility);
    this.pause();
  }
}
