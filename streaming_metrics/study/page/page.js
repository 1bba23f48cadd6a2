// Page of a study, from consent to thanks. One page serves two ways: behind the study's server, and as a folder on any
// static host (then window.STUDY holds the trials, see study/export.py). What differs stands in ServerSource and
// StaticSource; everything else knows neither.
"use strict";

const BREAK_EVERY = 25, AHEAD = 4, FIXATION_MS = 500, MASK_MS = 200, BLANK_MS = 150;
const SOONEST_MS = 150;  // nobody sees and answers faster: such a press belongs to the image before
const LONGEST_MS = 24 * 3600 * 1000;  // what took longer was left lying: its time says nothing, and is not kept
const main = document.getElementById("main");
let words, language, source;

// ---- words -----------------------------------------------------------------------------------------------------

const say = (name, facts = {}) => words[language][name].replace(/\{(\w+)\}/g, (_, key) => facts[key]);
const inLanguage = (texts) => texts[language] ?? Object.values(texts)[0] ?? "";

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false && value !== undefined) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

let isOver = false;  // once the server refuses for good nothing else is shown, or answered
function show(className, ...children) {
  if (isOver) return;
  main.className = className;
  main.replaceChildren(...children);
  scrollTo(0, 0);
}

// Shows a page of words, and resolves once its button is pressed.
function page(title, children, button) {
  return new Promise((resolve) => {
    const press = element("button", { class: "main", onclick: () => { press.disabled = true; resolve(); } }, say(button));
    show("text", element("div", { class: "words" }, element("h1", {}, title), ...children, press));
    press.focus();
  });
}

function addressIn(tag) {
  const address = new URL(location.href);
  address.searchParams.set("lang", tag);  // whatever else stands there stays: a slot, what a crowd platform added
  return address;
}

function setUpLanguages(languages) {
  const asked = new URLSearchParams(location.search).get("lang");
  const liked = [asked, memory.read("language"), ...navigator.languages.map((tag) => tag.slice(0, 2))];
  language = liked.find((tag) => languages.includes(tag)) ?? languages[0];
  document.documentElement.lang = language;
  if (languages.length < 2) return;
  const names = { en: "English", ko: "한국어" };
  document.getElementById("languages").replaceChildren(...languages.map((tag) => element("button", {
    lang: tag, "aria-pressed": String(tag === language),
    onclick: () => { memory.write("language", tag); location.replace(addressIn(tag)); },
  }, names[tag])));
}

// ---- what is remembered here: answers that are not acknowledged yet, in a static study all of them --------------------

const memory = {
  key: (name) => `study ${location.pathname} ${name}`,
  read(name) {
    try { return JSON.parse(localStorage.getItem(this.key(name))); } catch { return null; }
  },
  isKept: true,
  write(name, value) {
    try {
      localStorage.setItem(this.key(name), JSON.stringify(value));
      this.isKept = true;
    } catch { this.isKept = false; }  // private windows, a full disk: kept while the page is open
  },
};
// Asks before a page is left that alone holds answers.
addEventListener("beforeunload", (event) => { if (!memory.isKept && source?.isHolding()) event.preventDefault(); });
// The browser's own copy of a page that was left (back, forward) knows nothing of what was answered since.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// ---- sources ------------------------------------------------------------------------------------------------------

// The study's server. Answers go out one by one, in order; until one is acknowledged it is kept, and sent again.
class ServerSource {
  async open() {
    const session = await this.ask("session");
    this.study = session.study;
    const kept = memory.read(`pending ${this.study}`);  // in turn from where the server is; anything else is another's
    this.pending = (Array.isArray(kept) ? kept : []).filter((answer) => answer.number >= session.done)
      .filter((answer, n) => answer.number === session.done + n);
    this.done = session.done + this.pending.length;
    this.trials = [];
    this.flush();
    return session;
  }

  // Asks until there is an answer; what the server refuses for good is thrown.
  async ask(path, options = {}) {
    for (let tries = 0; ; tries++) {
      let wait = Math.min(15, 2 ** tries / 2);
      try {
        const reply = await fetch(path, { ...options, cache: "no-store" });
        if (reply.ok) { setStatus(""); return await reply.json(); }
        if (![408, 429].includes(reply.status) && reply.status < 500) throw Object.assign(new Error(), { refused: reply.status });
        wait = Number(reply.headers.get("Retry-After")) || wait;
      } catch (error) {
        if (error.refused) throw error;
      }
      if (tries) setStatus("away");
      await pause(1000 * wait);
    }
  }

  post(path, body) {
    return this.ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  }

  consent() {
    setStatus("saving", 400);
    return this.post("consent", {});
  }

  async trial(number) {
    if (!this.trials[number]) {
      for (const trial of await this.ask(`trials?from=${number}&count=50`)) this.trials[trial.number] = trial;
    }
    return this.trials[number];
  }

  keep(answer) {
    this.pending.push(answer);
    this.remember();
    this.flush();
  }

  remember() { memory.write(`pending ${this.study}`, this.pending); }

  isHolding() { return this.pending?.length > 0; }

  async flush() {
    if (this.flushing) return;
    this.flushing = true;
    while (this.pending.length) {
      const { number, answer, reaction_ms, shown_ms } = this.pending[0];
      setStatus("saving", 400);
      try {
        const { done } = await this.post("answers", { number, answer, reaction_ms, shown_ms });
        this.ahead = Math.max(this.ahead ?? 0, done);  // of us, where the link is open elsewhere too
        this.pending.shift();
      } catch (error) {
        if (error.refused !== 409) { this.remember(); lost(); return; }
        this.pending = [];  // out of turn: the server's count holds
        this.remember();
        location.reload();
        return;
      }
      this.remember();
    }
    this.flushing = false;
    setStatus("");
  }

  next(number) { return Math.max(number + 1, this.ahead ?? 0); }

  async finish(total) {
    while (this.pending.length) await pause(100);
    show("text", element("div", { class: "words" },
      element("h1", {}, say("thanks")), element("p", {}, say("thanks_text", { total }))));
  }
}

// A folder on a static host: orders of trials are in it; answers stay here until they are saved as a file, or posted.
class StaticSource {
  constructor(study) { this.study = study; }

  async open() {
    const asked = Number.parseInt(new URLSearchParams(location.search).get("slot"), 10);
    const random = () => crypto.getRandomValues(new Uint32Array(1))[0];
    const isAsked = asked >= 0 && asked < this.study.orders.length;
    // Links with a slot are for one rater each, so several may use one device.
    this.name = isAsked ? `${this.study.study} slot ${asked}` : this.study.study;
    const slot = isAsked ? asked : random() % this.study.orders.length;
    this.state = memory.read(this.name) ?? { rater: this.hex(), slot, consented: false, answers: [] };
    this.save();  // now, so that a second tab goes on as the same rater
    this.order = this.study.orders[this.state.slot];
    this.done = this.state.answers.length;
    return { ...this.study, consented: this.state.consented, total: this.order.length };
  }

  hex() {
    return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  save() { memory.write(this.name, this.state); }

  // Takes over what another tab has answered since.
  catchUp() {
    const kept = memory.read(this.name);
    if (kept?.rater === this.state.rater && kept.answers.length > this.state.answers.length) this.state = kept;
  }

  isHolding() { return this.state?.answers.length > 0 && !this.isSaved; }

  async consent() { this.catchUp(); this.state.consented = true; this.save(); }

  async trial(number) {
    const trial = this.order[number];
    return trial && { ...trial, question: this.study.questions[trial.task] };
  }

  keep(answer) {
    this.catchUp();
    if (answer.number < this.state.answers.length) return;  // answered in another tab: the first stays
    this.state.answers.push({ ...answer, when: new Date().toISOString() });
    this.save();
  }

  next() { return this.state.answers.length; }

  text() {
    const { study } = this.study, { slot, rater, answers } = this.state;
    return JSON.stringify({ format: "streaming-metrics-answers", version: 1, study, slot, rater, answers });
  }

  async finish(total) {
    const file = URL.createObjectURL(new Blob([this.text()], { type: "application/json" }));
    const name = `${this.study.study}-${this.state.rater.slice(0, 8)}.json`;
    const told = element("p", { role: "status" }, say("download_text", { total }));
    const buttons = [element("a", { class: "button", href: file, download: name, onclick: () => { this.isSaved = true; } }, say("download"))];
    show("text", element("div", { class: "words" }, element("h1", {}, say("thanks")), told, ...buttons));
    if (!this.study.post_to) return;
    const send = async () => {
      const sent = await this.send();
      this.isSaved ||= sent;
      told.textContent = say(sent ? "posted" : "not_posted");
      if (!sent) told.after(element("p", {}, element("button", { onclick: (event) => { event.target.remove(); send(); } }, say("post"))));
    };
    await send();
  }

  async send() {
    for (let tries = 0; tries < 4; tries++) {
      try {  // as text, which a browser sends to another site without asking it first
        const reply = await fetch(this.study.post_to, { method: "POST", headers: { "Content-Type": "text/plain" }, body: this.text() });
        if (reply.ok) return true;
      } catch { /* tried again */ }
      await pause(1000 * 2 ** tries);
    }
    return false;
  }
}

// ---- status, progress -----------------------------------------------------------------------------------------------

let statusTimer;
function setStatus(name, afterMs = 0) {
  clearTimeout(statusTimer);
  statusTimer = setTimeout(() => { document.getElementById("status").textContent = name && say(name); }, afterMs);
}

function setProgress(done, total) {
  const bar = document.getElementById("progress");
  bar.setAttribute("aria-valuemax", total);
  bar.setAttribute("aria-valuenow", done);
  bar.firstElementChild.style.width = `${(100 * done) / total}%`;
  document.getElementById("count").textContent = say("of", { done, total });
}

function lost() {
  setStatus("");
  show("text", element("div", { class: "words" }, element("h1", {}, say("unknown")), element("p", {}, say("unknown_text"))));
  isOver = true;
}

// ---- images ---------------------------------------------------------------------------------------------------------

const loaded = new Map();

// Resolves to a trial's images, decoded; they are asked for again until they come.
function imagesOf(trial) {
  if (!loaded.has(trial.number)) loaded.set(trial.number, Promise.all(trial.items.map(imageAt)));
  return loaded.get(trial.number);
}

async function imageAt(address) {
  for (let tries = 0; ; tries++) {
    const image = new Image();
    image.draggable = false;
    image.src = tries ? `${address}?again=${tries}` : address;
    try { await image.decode(); return image; } catch { if (tries) setStatus("away"); }
    await pause(Math.min(15000, 500 * 2 ** tries));
  }
}

async function lookAhead(number) {
  for (const old of loaded.keys()) if (old < number - 1) loaded.delete(old);
  for (let next = number; next <= number + AHEAD; next++) {
    const trial = await source.trial(next);
    if (!trial) return;
    imagesOf(trial);
  }
}

const divisor = (a, b) => (b ? divisor(b, a % b) : a);

// Sizes images as large as the stage lets them be, all alike, beside or above each other: whichever is larger. Where
// it can be, each pixel of each becomes a whole number of the screen's own pixels, so that none is made up.
function fit(stage, images) {
  const { clientWidth: width, clientHeight: height } = stage, n = images.length, gap = 12, edge = 24;
  const ratio = Math.max(...images.map((image) => image.naturalHeight / image.naturalWidth));
  const across = (columns, rows) =>
    Math.min((width - edge - gap * (columns - 1)) / columns, (height - edge - gap * (rows - 1)) / rows / ratio);
  const isColumn = n > 1 && across(1, n) > across(n, 1);
  const most = Math.max(16, isColumn ? across(1, n) : across(n, 1)), dense = devicePixelRatio || 1;
  stage.classList.toggle("column", isColumn);
  const common = images.map((image) => image.naturalWidth).reduce((a, b) => (a * b) / divisor(a, b));
  const whole = Math.floor((most * dense) / common), shown = whole >= 1 ? (whole * common) / dense : most;
  for (const image of images) {
    image.classList.toggle("own-pixels", whole >= 1);
    image.style.width = `${shown}px`;
    image.style.height = `${(shown * image.naturalHeight) / image.naturalWidth}px`;
  }
  return isColumn;
}

const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));

// The screen's time between two frames, in ms: the median of some.
async function frameMs() {
  const times = [];
  for (let n = 0; n < 15; n++) times.push(await frame());
  const apart = times.slice(1).map((time, n) => time - times[n]).sort((a, b) => a - b);
  return apart[apart.length >> 1];
}

function maskLike(image) {
  const mask = element("canvas", { class: "layer", "aria-hidden": "true" });
  const side = 48, rows = Math.max(1, Math.round((side * image.naturalHeight) / image.naturalWidth));
  [mask.width, mask.height] = [side, rows];
  mask.style.cssText = `width:${image.style.width};height:${image.style.height};image-rendering:pixelated`;
  const context = mask.getContext("2d"), noise = context.createImageData(side, rows);
  for (let n = 0; n < noise.data.length; n++) noise.data[n] = n % 4 === 3 ? 255 : Math.random() * 256;
  context.putImageData(noise, 0, 0);
  return mask;
}

// Flashes an image for so many ms, then a mask; returns how long it was seen, by the times of the frames in which it
// came and went. The layers are laid out and drawn before, unseen, so that both changes are one frame's work. It goes
// at the frame that is nearest to the time asked for: a frame that was lost makes it no longer than it must.
async function flash(stage, image, ms) {
  for (;;) {
    let hidden = document.hidden;
    const note = () => { hidden = true; };
    document.addEventListener("visibilitychange", note);
    image.className = `${image.classList.contains("own-pixels") ? "own-pixels " : ""}layer`;
    const cross = element("div", { class: "layer cross on" }), mask = maskLike(image);
    stage.replaceChildren(cross, image, mask);
    const every = await frameMs();
    await pause(Math.max(0, FIXATION_MS - 15 * every));
    cross.classList.remove("on");
    await pause(BLANK_MS);
    const came = await frame();
    image.classList.add("on");
    let went = await frame();
    while (went - came < ms - every / 2) went = await frame();
    image.classList.remove("on");
    mask.classList.add("on");
    await pause(MASK_MS);
    mask.classList.remove("on");
    const last = await frame();
    document.removeEventListener("visibilitychange", note);
    if (!hidden) return { shown_ms: went - came, since: last };
    setStatus("again");
    while (document.hidden) await pause(100);
    await pause(1500);
    setStatus("");
  }
}

// ---- trials -----------------------------------------------------------------------------------------------------------

// What may be answered to a trial: [answer, text, codes of keys, how a key is written].
function choices(trial, isColumn) {
  if (trial.kind === "preference") {
    const [first, second] = isColumn ? ["upper", "lower"] : ["left", "right"];
    const both = [[1, say(first), ["ArrowLeft", "ArrowUp", "KeyF"], isColumn ? "↑" : "←"],
      [0, say(second), ["ArrowRight", "ArrowDown", "KeyJ"], isColumn ? "↓" : "→"]];
    if (trial.ties) both.splice(1, 0, [0.5, say("tie"), ["Space", "Digit0", "Numpad0"], "␣"]);
    return both;
  }
  if (trial.kind === "categorisation") {
    return [[1, say("real"), ["ArrowLeft", "KeyF"], "F"], [0, say("fake"), ["ArrowRight", "KeyJ"], "J"]];
  }
  return Array.from({ length: trial.scale }, (_, n) => [n + 1, String(n + 1), [`Digit${n + 1}`, `Numpad${n + 1}`], ""]);
}

// Resolves to the first answer that is given, by key, button or image, and when.
function answered(options, buttons, images, since) {
  return new Promise((resolve) => {
    const take = (n, time) => {
      if (time - since < SOONEST_MS) return;
      removeEventListener("keydown", onKey);
      for (const [other, button] of buttons.entries()) { button.disabled = true; button.classList.toggle("chosen", other === n); }
      const ms = Math.round(10 * (time - since)) / 10;
      resolve({ answer: options[n][0], reaction_ms: ms <= LONGEST_MS ? ms : null, n });
    };
    const onKey = (event) => {
      if (isOver || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
      // What has the focus comes first: Space presses a button, arrows scroll a long text.
      if (event.code === "Space" && event.target.closest?.("button, a")) return;
      if (/^Arrow(Up|Down)$|^Space$/.test(event.code) && event.target.closest?.("blockquote")) return;
      const n = options.findIndex(([, , codes]) => codes.includes(event.code));
      if (n >= 0) { event.preventDefault(); take(n, event.timeStamp); }
    };
    addEventListener("keydown", onKey);
    buttons.forEach((button, n) => button.addEventListener("click", (event) => take(n, event.timeStamp)));
    images.forEach((image, place) => image.addEventListener("click", (event) => take(place ? options.length - 1 : 0, event.timeStamp)));
  });
}

async function run(trial) {
  setStatus("loading", 600);
  const images = await imagesOf(trial);
  setStatus("");
  const isPair = images.length > 1, isFlash = trial.kind === "categorisation";
  const stage = element("div", { class: "stage" });
  const answers = element("div", { class: `answers${isPair || isFlash ? "" : " scale"}` });
  const prompt = trial.prompt && !isFlash ? element("blockquote", { tabindex: "0" }, trial.prompt) : null;
  const ends = isPair || isFlash ? null : element("p", { class: "ends" },
    element("span", {}, `1 – ${say(`low_${trial.kind}`)}`), element("span", {}, `${trial.scale} – ${say(`high_${trial.kind}`)}`));
  show("", element("div", { class: `trial ${trial.kind}` },
    element("div", { class: "ask" }, element("h1", {}, inLanguage(trial.question)), prompt), stage, answers, ends));
  const lay = () => {
    const isColumn = fit(stage, images);
    const options = choices(trial, isColumn);
    if (!answers.childElementCount) {
      answers.append(...options.map(([, text, , key]) => element("button", {}, text, key && element("kbd", {}, key))));
    } else {
      options.forEach(([, text, , key], n) => {
        const [written, cap] = answers.children[n].childNodes;
        written.data = text;
        if (cap) cap.textContent = key;
      });
    }
    return options;
  };
  const options = lay(), buttons = [...answers.children];
  const observer = new ResizeObserver(lay);
  observer.observe(stage);
  let since, shown = {}, touched = [];
  if (isFlash) {
    answers.hidden = true;
    const seen = await flash(stage, images[0], trial.exposure_ms);
    [since, shown] = [seen.since, { shown_ms: Math.round(100 * seen.shown_ms) / 100 }];
    answers.hidden = false;
  } else {
    images.forEach((image, n) => { image.alt = say("image", { n: n + 1 }); });
    touched = isPair ? images.map((image) => element("button", { tabindex: "-1", "aria-hidden": "true" }, image)) : [];
    stage.replaceChildren(...(isPair ? touched : images));
    await frame();
    since = await frame();  // the frame that shows them
  }
  const { n, ...given } = await answered(options, buttons, touched, since);
  observer.disconnect();
  if (isPair && given.answer !== 0.5) touched[n ? 1 : 0].classList.add("chosen");
  source.keep({ number: trial.number, ...given, ...shown });
  await pause(120);  // so that what was chosen is seen
}

function instructions(trial) {
  const keys = { preference: [["←", "→"], "keys_preference"], categorisation: [["F", "J"], "keys_categorisation"] };
  const [caps, what] = keys[trial.kind] ?? [["1", "…", String(trial.scale)], "keys_scale"];
  const line = (some, name) => element("li", {}, ...some.flatMap((cap) => [element("kbd", {}, cap), " "]), ` ${say(name)}`);
  return page(say(`task_${trial.kind}`), [
    element("p", {}, say(`how_${trial.kind}`)),
    trial.kind === "preference" && trial.prompt ? element("p", {}, say("how_prompt")) : "",
    element("ul", { class: "keys", "aria-label": say("keys") }, line(caps, what), trial.ties ? line(["␣"], "keys_tie") : ""),
  ], "start");
}

// ---- the whole ----------------------------------------------------------------------------------------------------------

async function begin() {
  source = window.STUDY ? new StaticSource(window.STUDY) : new ServerSource();
  const session = await source.open();
  words = window.STUDY?.words ?? await source.ask("words.json");
  setUpLanguages(session.languages);
  document.title = say("title");
  setProgress(source.done, session.total);
  if (!session.consented) {
    await page(say("title"), inLanguage(session.consent).split("\n\n").map((text) => element("p", {}, text)), "agree");
    await source.consent();
  }
  let task = null, sinceBreak = 0;
  for (let number = source.done; number < session.total; number = source.next(number)) {
    const trial = await source.trial(number);
    lookAhead(number);
    if (sinceBreak >= BREAK_EVERY && session.total - number > BREAK_EVERY / 2) {
      await page(say("rest"), [element("p", {}, say("rest_text", { done: number, total: session.total }))], "go_on");
      sinceBreak = 0;
    }
    if (trial.task !== task) await instructions(trial);
    task = trial.task;
    await run(trial);
    sinceBreak += 1;
    setProgress(source.next(number), session.total);
  }
  await source.finish(session.total);
}

begin().catch((error) => {
  console.error(error);
  words ??= { en: { unknown: "This link does not work", unknown_text: "Open the link exactly as it was given to you." } };
  language ??= "en";
  lost();
});
