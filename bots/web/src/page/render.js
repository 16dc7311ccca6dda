/** Makes an element; children are nodes or plain strings, never markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((it) => it !== null && it !== undefined));
  return element;
}

/** Numbers to call: known short ones and long ones with their separators, not those in "180/120" or "120 mg". */
const NUMBER = /(^|[^\d/.,:+\-])((?:11[0-9]|12[0-2]|12320|12345|12356|911|988|995|999)|(?:400|800)-\d{3}-?\d{4}|0\d{2,3}-\d{7,8}|\+\d{1,3}[ -]\d[\d -]{5,12}\d)(?![\d/]|[.,:-]\d|\s?(?:%|mg|ml|mmol|mmhg|kg|cm|bpm|kcal|℃|°|次|毫|克|岁|分钟|天|小时|hours?|minutes?|days?|times))/gi;

function phoneNumbers(text) {
  return [...new Set([...text.matchAll(NUMBER)].map((it) => it[2]))];
}

function callButton(number, language) {
  const label = `${WORDS[language].call} ${number}`;
  return make("a", { class: "call", href: `tel:${number.replace(/[ -]/g, "")}`, "data-testid": "call" }, "☎ ", label);
}

/**
 * The little Markdown that answers hold: paragraphs, lists, fences, headings as bold lines; within a line
 * bold, code, [1] for a source and, if `calls`, telephone numbers. Everything else stays as it was written.
 */
function markdown(text, { sources = new Set(), anchor = "", calls = false } = {}) {
  const root = make("div", { class: "text" });
  const inline = (line) => inlineNodes(line, sources, anchor, calls);
  let paragraph = [];
  let list = null;
  let fence = null;
  const endParagraph = () => {
    if (paragraph.length) {
      const element = make("p");
      paragraph.forEach((line, index) => element.append(...(index ? [make("br")] : []), ...inline(line)));
      root.append(element);
    }
    paragraph = [];
  };
  for (const line of text.replace(/\r\n?/g, "\n").split("\n")) {
    if (/^\s*```/.test(line)) {
      endParagraph();
      list = null;
      if (fence === null) fence = [];
      else {
        root.append(make("pre", {}, make("code", {}, fence.join("\n"))));
        fence = null;
      }
      continue;
    }
    if (fence !== null) {
      fence.push(line);
      continue;
    }
    const item = line.match(/^\s*(?:([-*•])|(\d{1,2})[.)、])\s+(.*)$/) ?? line.match(/^\s*()(\d{1,2})、(.*)$/);
    if (item) {
      endParagraph();
      const tag = item[2] ? "ol" : "ul";
      if (list?.localName !== tag) {
        list = make(tag, { start: item[2] && item[2] !== "1" ? item[2] : null });
        root.append(list);
      }
      list.append(make("li", {}, ...inline(item[3])));
      continue;
    }
    if (line.trim() === "") {
      endParagraph();
      continue;
    }
    if (list && /^\s+\S/.test(line)) {
      list.lastElementChild.append(make("br"), ...inline(line.trim()));
      continue;
    }
    list = null;
    const heading = line.match(/^#{1,6}\s+(.*)$/);
    if (heading) {
      endParagraph();
      root.append(make("p", {}, make("strong", {}, ...inline(heading[1]))));
    } else {
      paragraph.push(line);
    }
  }
  endParagraph();
  // An answer that is still being written ends inside its fence.
  if (fence !== null) root.append(make("pre", {}, make("code", {}, fence.join("\n"))));
  return root;
}

function inlineNodes(line, sources, anchor, calls) {
  const nodes = [];
  let end = 0;
  for (const match of line.matchAll(/\*\*(.+?)\*\*|`([^`]+)`|\[(\d{1,2})\]/g)) {
    if (match[3] && !sources.has(Number(match[3]))) continue;
    nodes.push(...plainNodes(line.slice(end, match.index), calls));
    end = match.index + match[0].length;
    if (match[1]) nodes.push(make("strong", {}, ...inlineNodes(match[1], sources, anchor, calls)));
    else if (match[2]) nodes.push(make("code", {}, match[2]));
    else nodes.push(make("sup", { class: "cite" }, make("a", { href: `#${anchor}-${match[3]}` }, `[${match[3]}]`)));
  }
  nodes.push(...plainNodes(line.slice(end), calls));
  return nodes;
}

function plainNodes(text, calls) {
  if (!calls) return text ? [text] : [];
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(NUMBER)) {
    const start = match.index + match[1].length;
    nodes.push(text.slice(end, start), make("a", { class: "tel", href: `tel:${match[2].replace(/[ -]/g, "")}` }, match[2]));
    end = start + match[2].length;
  }
  nodes.push(text.slice(end));
  return nodes.filter((it) => it !== "");
}

/** A finished part as a message; `choose` gets the quick reply that was pressed. */
function renderPart(entry, choose) {
  const part = entry.part;
  const language = part.language in WORDS ? part.language : "en";
  const words = WORDS[language];
  const citations = part.citations ?? [];
  const anchor = `source-${entry.id}`;
  const emergency = part.kind === "emergency";

  const bubble = make("div", { class: "bubble" });
  const chips = make("ul", { class: "chips" });
  if (part.disposition) {
    const label = part.disposition_text || words.dispositions[part.disposition] || part.disposition;
    const known = part.disposition in words.dispositions ? part.disposition : "";
    chips.append(make("li", { class: `chip disposition ${known}`, "data-testid": "disposition", "data-disposition": part.disposition }, label));
  }
  for (const name of part.departments ?? []) {
    const chip = make("li", { class: "chip department", "data-testid": "department" });
    chip.append(make("span", { class: "hidden" }, `${words.departments}: `), name);
    chips.append(chip);
  }
  if (chips.childElementCount) bubble.append(chips);
  bubble.append(markdown(part.text, { sources: new Set(citations.map((it) => it.number)), anchor, calls: emergency }));
  if (emergency) {
    const numbers = phoneNumbers(part.text);
    if (numbers.length) bubble.append(make("div", { class: "calls" }, ...numbers.map((it) => callButton(it, language))));
  }
  if (citations.length) {
    const list = make("ul");
    for (const citation of citations) {
      list.append(
        make("li", { id: `${anchor}-${citation.number}`, "data-testid": "source" },
          make("span", { class: "number" }, `[${citation.number}]`),
          make("span", {}, make("span", { class: "title" }, citation.title), ` · ${citation.source}`)),
      );
    }
    bubble.append(
      make("details", { class: "sources", "data-testid": "sources", open: "" },
        make("summary", {}, `${words.sources} (${citations.length})`), list),
    );
  }

  const message = make("article", {
    class: `message bot ${emergency ? "emergency" : part.kind === "notice" ? "notice" : "answer"}`,
    "data-testid": emergency ? "emergency" : "bot-message",
    "data-kind": part.kind,
    "data-entry": entry.id,
    "data-seq": entry.seq,
    lang: language,
    role: emergency ? "alert" : null,
    "aria-label": words.bot,
  }, bubble);
  if (part.label) message.append(make("p", { class: "ai", "data-testid": "ai-label" }, part.label));
  if (part.quick_replies?.length) {
    const replies = make("div", { class: "replies", "data-testid": "quick-replies", role: "group" });
    for (const reply of part.quick_replies) {
      const button = make("button", { type: "button", "data-testid": "quick-reply", "data-choice": reply.data }, reply.label);
      button.addEventListener("click", () => choose(reply));
      replies.append(button);
    }
    message.append(replies);
  }
  return message;
}

function renderPreview(seq, text, language) {
  const bubble = make("div", { class: "bubble" }, markdown(text));
  return make("article", {
    class: "message bot preview", "data-testid": "preview", "data-seq": seq, "aria-busy": "true", "aria-live": "off",
    "aria-label": WORDS[language].bot,
  }, bubble);
}

/** What the patient wrote; commands are shown as what they do, not as speech. */
function renderPatient(text, language) {
  const words = WORDS[language];
  if (/^\/new\b/.test(text)) {
    return make("div", { class: "command fresh", "data-testid": "patient-message" }, words.fresh);
  }
  if (/^\/[a-z]/.test(text)) {
    const label = { "/stop": words.stop, "/help": words.help, "/privacy": words.privacy }[text.trim()] ?? text;
    return make("div", { class: "command", "data-testid": "patient-message" }, label);
  }
  return make("article", { class: "message patient", "data-testid": "patient-message", "aria-label": words.you },
    make("div", { class: "bubble" }, text));
}
