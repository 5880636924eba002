// The part of Markdown that models write, made into elements. The text itself is never read as HTML.
import { copyButton, element } from "./elements.js";

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])(\s+|$)/;
const deepest = 6;

const isBlank = (line) => line.trim() === "";
const begins = (line) => FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || ITEM.test(line);

/** The blocks of a text, each with the source that it was made from. */
function blocks(lines, depth = 0) {
  const found = [];
  let at = 0;
  const take = (count, block) => {
    found.push({ ...block, source: lines.slice(at, at + count).join("\n") });
    at += count;
  };
  while (at < lines.length) {
    const line = lines[at];
    if (isBlank(line)) {
      at += 1;
      continue;
    }
    const fence = FENCE.exec(line);
    if (fence) {
      const isEnd = (other) => other.trim().startsWith(fence[1]) && other.trim().replaceAll(fence[1][0], "") === "";
      let end = at + 1;
      while (end < lines.length && !isEnd(lines[end])) end += 1;
      take(end - at + 1, { kind: "code", language: fence[2], text: lines.slice(at + 1, end).join("\n") });
      continue;
    }
    const heading = HEADING.exec(line);
    if (heading) take(1, { kind: "heading", level: heading[1].length, text: heading[2] });
    else if (RULE.test(line)) take(1, { kind: "rule" });
    else if (QUOTE.test(line) && depth < deepest) {
      const count = lengthWhile(lines, at, (other) => QUOTE.test(other));
      const inner = lines.slice(at, at + count).map((other) => other.replace(QUOTE, ""));
      take(count, { kind: "quote", blocks: blocks(inner, depth + 1) });
    } else if (ITEM.test(line) && depth < deepest) {
      const { count, list } = listAt(lines, at, depth);
      take(count, list);
    } else {
      const count = 1 + lengthWhile(lines, at + 1, (other) => !isBlank(other) && !begins(other));
      take(count, { kind: "paragraph", text: lines.slice(at, at + count).map((other) => other.trim()).join("\n") });
    }
  }
  return found;
}

function lengthWhile(lines, start, holds) {
  let end = start;
  while (end < lines.length && holds(lines[end])) end += 1;
  return end - start;
}

/** The list that begins at a line: its items' contents are blocks again. */
function listAt(lines, start, depth) {
  const [, indent, mark] = ITEM.exec(lines[start]);
  const isOrdered = /\d/.test(mark);
  const items = [];
  let end = start;
  let margin = 0;
  while (end < lines.length) {
    const line = lines[end];
    const item = ITEM.exec(line);
    const width = /^\s*/.exec(line)[0].length;
    if (item && item[1].length <= indent.length + 1) {
      if (/\d/.test(item[2]) !== isOrdered || RULE.test(line)) break;
      margin = item[0].length;
      items.push([line.slice(margin)]);
    } else if (isBlank(line)) {
      // What follows belongs to the list if it is an item or set in.
      const next = lines.slice(end + 1).find((other) => !isBlank(other));
      if (next === undefined || !(ITEM.test(next) || /^\s{2,}/.test(next))) break;
      items.at(-1).push("");
    } else if (width > indent.length || (!begins(line) && !isBlank(lines[end - 1]))) {
      items.at(-1).push(line.slice(Math.min(width, margin)));
    } else break;
    end += 1;
  }
  const list = { kind: "list", isOrdered, start: parseInt(mark, 10), items: items.map((item) => blocks(item, depth + 1)) };
  return { count: end - start, list };
}

// MARK: Inside of a line

// What is enclosed is at most so long that a text full of marks stays cheap.
const INLINE = new RegExp(
  [
    String.raw`\\([\\\`*_{}[\]()#+.!>~|-])`,
    String.raw`(\`+)([\s\S]{1,1000}?)(?<!\`)\2(?!\`)`,
    String.raw`\*\*(?=\S)([\s\S]{0,1000}?\S)\*\*(?!\*)`,
    String.raw`(?<!\w)__(?=\S)([\s\S]{0,1000}?\S)__(?!\w)`,
    String.raw`\*(?=[^\s*])([\s\S]{0,1000}?[^\s*])\*(?!\*)`,
    String.raw`(?<!\w)_(?=[^\s_])([\s\S]{0,1000}?[^\s_])_(?!\w)`,
  ].join("|"), "g");

function inline(text, depth = 0) {
  const parts = [];
  let at = 0;
  for (const match of depth < deepest ? text.matchAll(INLINE) : []) {
    if (match.index > at) parts.push(text.slice(at, match.index));
    at = match.index + match[0].length;
    const [, escaped, , code, star, line, slanted, under] = match;
    if (escaped) parts.push(escaped);
    else if (code) parts.push(element("code", { text: code.replace(/^ (.*\S.*) $/s, "$1") }));
    else if (star ?? line) parts.push(element("strong", {}, ...inline(star ?? line, depth + 1)));
    else parts.push(element("em", {}, ...inline(slanted ?? under, depth + 1)));
  }
  if (at < text.length) parts.push(text.slice(at));
  return parts;
}

// MARK: Elements

function codeBlock(block) {
  const code = element("code", { text: block.text });
  const head = element("div", { class: "head" }, element("span", { text: block.language || "code" }), copyButton(() => code.textContent, "Copy the code"));
  return element("div", { class: "code" }, head, element("pre", { tabindex: "0", role: "region", "aria-label": "Code" }, code));
}

function build(block) {
  switch (block.kind) {
    case "code": return codeBlock(block);
    // The page has headings of its own above.
    case "heading": return element(`h${Math.min(6, block.level + 2)}`, {}, ...inline(block.text));
    case "rule": return element("hr");
    case "quote": return element("blockquote", {}, ...block.blocks.map(build));
    case "list": {
      const start = block.isOrdered && block.start !== 1 ? { start: block.start } : {};
      return element(block.isOrdered ? "ol" : "ul", start, ...block.items.map(listItem));
    }
    default: return element("p", {}, ...inline(block.text));
  }
}

/** An item of one line is no paragraph of its own. */
function listItem(parts) {
  return element("li", {}, ...parts.flatMap((part, index) => (index === 0 && part.kind === "paragraph" ? inline(part.text) : [build(part)])));
}

const sources = new WeakMap();

/** Shows a text that grows: what stays the same is left as it is. */
export function showMarkdown(container, text) {
  const wanted = blocks(text.split("\n"));
  wanted.forEach((block, index) => {
    const there = container.children[index];
    const source = `${block.kind} ${block.source}`;
    if (there && sources.get(there) === source) return;
    const pre = block.kind === "code" && there?.classList.contains("code") ? there.querySelector("pre code") : null;
    if (pre) {
      pre.textContent = block.text;
      there.querySelector(".head span").textContent = block.language || "code";
      sources.set(there, source);
      return;
    }
    const made = build(block);
    sources.set(made, source);
    if (there) there.replaceWith(made); else container.append(made);
  });
  while (container.children.length > wanted.length) container.lastElementChild.remove();
}
