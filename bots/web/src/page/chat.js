const $ = (id) => document.getElementById(id);
const log = $("log");
const scroll = $("scroll");
const input = $("input");

let language = firstLanguage();
let stream = null;
/** The greeting that begins every page is entry 0. */
let lastEntry = -1;
let streamTries = 0;
let hiddenSince = 0;
/** Own messages that are not in the log for good, by id, in the order in which they were written. */
const outgoing = new Map();
/** Answers that are being written, by the number of their question. */
const previews = new Map();
/** What stands on a button, by what it sends. */
const choiceLabels = new Map();
/** Questions after whose answer the whole log is read again: something was deleted. */
const rereadAfter = new Set();
const answered = new Set();
/** Emergency notices that came with the answer to a message, by its number, until the stream brings the notice itself. */
const copies = new Map();
let sendingNow = false;
let typingTimer = 0;
let openQuestion = null;

function showWords() {
  const words = WORDS[language];
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const it of document.querySelectorAll("[data-words]")) {
    it.textContent = words[it.dataset.words].replace("{number}", document.body.dataset.emergency);
  }
  for (const it of document.querySelectorAll("[data-words-label]")) {
    it.setAttribute("aria-label", words[it.dataset.wordsLabel]);
    if (it.localName === "button") it.title = words[it.dataset.wordsLabel];
  }
  for (const it of document.querySelectorAll("[data-words-placeholder]")) it.placeholder = words[it.dataset.wordsPlaceholder];
  const other = $("language");
  other.textContent = words.other;
  other.lang = language === "zh" ? "en" : "zh";
  other.setAttribute("aria-label", words.otherLong);
  for (const message of outgoing.values()) showState(message);
}

/* Scrolling: the newest stays in view unless the reader has gone up. */

function nearEnd() {
  return scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 90;
}

function change(what, { follow = nearEnd() } = {}) {
  what();
  if (follow) scroll.scrollTop = scroll.scrollHeight;
  $("down").hidden = follow || nearEnd();
}

/* What the stream brings. */

function connect() {
  stream?.close();
  const opened = new EventSource(`/api/events?after=${Math.max(lastEntry, 0)}&language=${language}`);
  stream = opened;
  opened.addEventListener("open", () => {
    streamTries = 0;
    $("connection").textContent = "";
    flush();
  });
  opened.addEventListener("greeting", (event) => takeEntry({ id: 0, seq: 0, from: "bot", ...JSON.parse(event.data) }));
  opened.addEventListener("entry", (event) => takeEntry(JSON.parse(event.data)));
  opened.addEventListener("preview", (event) => takePreview(JSON.parse(event.data)));
  opened.addEventListener("typing", () => showTyping(12_000));
  opened.addEventListener("forgotten", () => location.reload());
  opened.addEventListener("error", () => {
    if (stream !== opened) return;
    $("connection").textContent = navigator.onLine ? WORDS[language].reconnecting : WORDS[language].offline;
    // After a broken connection the browser tries again by itself, after a refusal it does not.
    if (opened.readyState === EventSource.CLOSED) {
      streamTries += 1;
      setTimeout(() => stream === opened && connect(), Math.min(1000 * 2 ** streamTries, 20_000));
    }
  });
}

function takeEntry(entry) {
  if (entry.id <= lastEntry) return;
  lastEntry = entry.id;
  if (entry.from === "patient") takeOwn(entry);
  else if (entry.part) takePart(entry);
}

function takeOwn(entry) {
  const mine = outgoing.get(entry.external_id);
  outgoing.delete(entry.external_id);
  rememberOutgoing();
  if (!entry.text) {
    mine?.element.remove();
    return;
  }
  const text = choiceLabels.get(entry.text) ?? entry.text;
  change(() => {
    mine?.element.remove();
    // A message that was not sent yet and an answer that is being written stay below.
    log.insertBefore(renderPatient(text, language), log.querySelector(".waiting, .refused, .preview"));
    dropReplies();
    if (/^\/new\b/.test(entry.text)) $("banner").hidden = true;
  });
  if (/^\/?delete/.test(entry.text)) rereadAfter.add(entry.seq);
}

function takePart(entry) {
  answered.add(entry.seq);
  copies.get(entry.seq)?.remove();
  copies.delete(entry.seq);
  for (const reply of entry.part.quick_replies ?? []) choiceLabels.set(reply.data, reply.label);
  change(() => {
    const message = renderPart(entry, (reply) => send({ choice: reply.data, label: reply.label }));
    const preview = previews.get(entry.seq);
    previews.delete(entry.seq);
    dropReplies();
    if (preview) preview.replaceWith(message);
    else log.insertBefore(message, log.querySelector(".waiting, .refused, .preview"));
    if (entry.part.kind === "emergency") showBanner(entry.part);
  });
  if (openQuestion === null || entry.seq >= openQuestion || entry.part.kind === "emergency") hideTyping();
  dropCancelled(entry.seq);
  showBusy();
  if (rereadAfter.delete(entry.seq)) readAgain();
}

function takePreview({ seq, text }) {
  change(() => {
    const element = renderPreview(seq, text, language);
    const shown = previews.get(seq);
    if (shown) shown.replaceWith(element);
    else log.insertBefore(element, log.querySelector(".waiting, .refused"));
    previews.set(seq, element);
  });
  $("typing").hidden = true;
  showBusy();
}

/** Whatever is answered out of turn (/stop, an emergency) ends the answer before it; that one may have no end. */
function dropCancelled(seq) {
  for (const [earlier, element] of previews) {
    if (earlier >= seq) continue;
    setTimeout(() => {
      if (previews.get(earlier) !== element) return;
      previews.delete(earlier);
      change(() => element.remove());
      showBusy();
    }, 3_000);
  }
}

/** Only the newest question can be answered by a button. */
function dropReplies() {
  for (const it of log.querySelectorAll(".replies")) it.remove();
}

function readAgain() {
  lastEntry = -1;
  previews.clear();
  copies.clear();
  choiceLabels.clear();
  log.replaceChildren(...[...outgoing.values()].map((it) => it.element));
  $("banner").hidden = true;
  connect();
}

function showBanner(part) {
  const words = part.language in WORDS ? part.language : "en";
  $("banner-text").textContent = part.text.replace(/\*\*/g, "");
  $("banner-calls").replaceChildren(...phoneNumbers(part.text).map((it) => callButton(it, words)));
  $("banner").lang = words;
  $("banner").querySelector("strong").textContent = WORDS[words].emergencyTitle;
  $("banner").hidden = false;
}

function showTyping(milliseconds) {
  clearTimeout(typingTimer);
  typingTimer = setTimeout(hideTyping, milliseconds);
  change(() => ($("typing").hidden = previews.size > 0));
  showBusy();
}

function hideTyping() {
  clearTimeout(typingTimer);
  typingTimer = 0;
  $("typing").hidden = true;
  showBusy();
}

function showBusy() {
  change(() => {
    $("stop").hidden = previews.size === 0 && $("typing").hidden;
    // Room for the button, so that it does not stand on the words.
    scroll.classList.toggle("busy", !$("stop").hidden);
  });
}

/* What the patient sends: one after the other, each until it is accepted, always under the same id. */

function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  // Plain http outside localhost has no randomUUID.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (it) => it.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function send({ text, choice, label, id = newId() }) {
  const element = renderPatient(label ?? text, language);
  element.classList.add("waiting");
  const message = { id, text, choice, label, element, tries: 0, problem: null, refused: false };
  outgoing.set(id, message);
  rememberOutgoing();
  change(() => {
    log.append(element);
    dropReplies();
  }, { follow: true });
  showState(message);
  flush();
}

async function flush() {
  if (sendingNow) return;
  sendingNow = true;
  try {
    for (;;) {
      const message = [...outgoing.values()].find((it) => !it.refused && !it.accepted);
      if (!message) return;
      const wait = await attempt(message);
      if (wait > 0) {
        setTimeout(flush, wait);
        return;
      }
    }
  } finally {
    sendingNow = false;
  }
}

/** Milliseconds to wait before the next try; 0 if this message is settled. */
async function attempt(message) {
  message.tries += 1;
  const { id, text, choice } = message;
  let response;
  let answer;
  try {
    response = await fetch("/api/messages", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ id, text, choice, language }),
      signal: AbortSignal.timeout?.(20_000),
    });
    answer = await response.json();
  } catch {
    response = null;
  }
  if (response?.status === 202) {
    message.accepted = true;
    message.problem = null;
    showState(message);
    openQuestion = answer.seq;
    if (answer.notice && !answered.has(answer.seq)) showCopy(message, answer);
    else if (!answer.duplicate && !answered.has(answer.seq)) showTyping(12_000);
    return 0;
  }
  message.problem = answer?.code ? answer : null;
  if (answer?.notice) warn(message, answer.notice);
  const permanent = response && response.status >= 400 && response.status < 500 && response.status !== 429;
  if (permanent) {
    message.refused = true;
    showState(message);
    return 0;
  }
  showState(message);
  const asked = Number(response?.headers.get("retry-after")) * 1000;
  return asked || Math.min(500 * 2 ** message.tries, 15_000);
}

/** The notice does not wait for the stream, which may be down. */
function showCopy(message, { seq, notice }) {
  if (copies.has(seq)) return;
  const copy = renderPart({ id: `copy-${seq}`, seq, part: notice }, () => {});
  copies.set(seq, copy);
  // The message may stand in the log for good already, as another element.
  change(() => (message.element.isConnected ? message.element.after(copy) : log.append(copy)), { follow: true });
  showBanner(notice);
}

/** A message that was not taken may still be an emergency: its notice comes with the refusal, and is shown once. */
function warn(message, notice) {
  if (message.warned) return;
  message.warned = true;
  change(() => message.element.after(renderPart({ id: `refused-${message.id}`, part: notice }, () => {})), { follow: true });
  showBanner(notice);
}

function showState(message) {
  change(() => fillState(message));
}

function fillState(message) {
  const { element } = message;
  element.classList.toggle("waiting", !message.accepted && !message.refused);
  element.classList.toggle("refused", message.refused);
  element.querySelector(".state")?.remove();
  if (message.accepted) return;
  const words = WORDS[language];
  const state = make("p", { class: "state", role: "status" });
  const reason = message.problem?.[language];
  if (message.refused) {
    state.append(`${words.refused} ${reason ?? ""} `);
    if (message.text) {
      const edit = make("button", { type: "button", class: "link" }, words.edit);
      edit.addEventListener("click", () => {
        discard(message);
        input.value = message.text;
        sizeInput();
        input.focus();
      });
      state.append(edit);
    }
  } else if (message.tries === 0) {
    state.append(words.sending);
  } else if (message.tries > 0) {
    state.append(reason ?? (message.tries > 1 ? words.waiting : words.sending), " ");
    if (message.tries > 1) {
      const again = make("button", { type: "button", class: "link" }, words.again);
      again.addEventListener("click", flush);
      state.append(again);
    }
  }
  element.append(state);
}

function discard(message) {
  outgoing.delete(message.id);
  message.element.remove();
  rememberOutgoing();
}

/** A reload must not lose what was written and not yet accepted; it stays in this tab only. */
function rememberOutgoing() {
  const unsent = [...outgoing.values()]
    .filter((it) => !it.accepted && !it.refused)
    .map(({ id, text, choice, label }) => ({ id, text, choice, label }));
  keep("sessionStorage", "bedside-unsent", unsent.length ? JSON.stringify(unsent) : null);
}

function sendRemembered() {
  let unsent;
  try {
    unsent = JSON.parse(recall("sessionStorage", "bedside-unsent")) ?? [];
  } catch {
    unsent = [];
  }
  for (const message of unsent) send(message);
}

/* The composer and the buttons. */

function sizeInput() {
  input.style.height = "auto";
  input.style.height = `${input.scrollHeight + 3}px`;
  $("send").disabled = input.value.trim() === "";
}

function submit() {
  const text = input.value.trim();
  if (!text) return;
  input.value = "";
  sizeInput();
  send({ text });
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
  input.focus();
});
input.addEventListener("input", sizeInput);
input.addEventListener("keydown", (event) => {
  // Enter also confirms a word in a Chinese input method; that one is not ours.
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229) {
    event.preventDefault();
    submit();
  }
});
$("stop").addEventListener("click", () => send({ text: "/stop" }));
$("new").addEventListener("click", () => send({ text: "/new" }));
$("help").addEventListener("click", () => send({ text: "/help" }));
$("privacy").addEventListener("click", () => send({ text: "/privacy" }));
$("forget").addEventListener("click", () => {
  const words = WORDS[language];
  // Without a word of theirs nothing is stored.
  if (confirm(words.forgetAsk)) forget(lastEntry > 0 && confirm(words.deleteAsk));
});
$("banner-close").addEventListener("click", () => {
  $("banner").hidden = true;
  input.focus();
});
$("down").addEventListener("click", () => change(() => {}, { follow: true }));
$("language").addEventListener("click", () => {
  language = language === "zh" ? "en" : "zh";
  keep("localStorage", "bedside-language", language);
  showWords();
});
scroll.addEventListener("scroll", () => {
  if (nearEnd()) $("down").hidden = true;
});
window.addEventListener("online", () => {
  connect();
  flush();
});
window.addEventListener("offline", () => ($("connection").textContent = WORDS[language].offline));
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "hidden") {
    hiddenSince = Date.now();
  } else if (Date.now() - hiddenSince > 20_000) {
    // A phone that slept may hold a dead connection without knowing.
    connect();
    flush();
  }
});

/* Computers that patients share. */

async function forget(alsoStored) {
  try {
    const response = await fetch(alsoStored ? "/api/forget?delete=true" : "/api/forget", { method: "POST" });
    if (!response.ok) throw new Error(response.status);
  } catch {
    $("connection").textContent = WORDS[language].offline;
    return;
  }
  keep("sessionStorage", "bedside-unsent", null);
  keep("localStorage", "bedside-language", null);
  location.reload();
}

const kioskMinutes = Number(document.body.dataset.kiosk);
let idleTimer = 0;
function stillHere() {
  clearTimeout(idleTimer);
  // Nobody has said anything yet: there is nothing to forget.
  if (kioskMinutes > 0) idleTimer = setTimeout(() => (lastEntry > 0 ? forget(false) : stillHere()), kioskMinutes * 60_000);
}
for (const it of ["keydown", "pointerdown"]) window.addEventListener(it, stillHere);
stillHere();

showWords();
sizeInput();
connect();
sendRemembered();
if (matchMedia("(hover: hover)").matches) input.focus();
