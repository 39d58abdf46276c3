// The toolbar and the shortcuts of the letter's field, and what it accepts when people paste formatted text. Without this
// file, the field is a plain one for Markdown, and pasting inserts plain text.
(() => {
  const field = document.getElementById("letter");
  if (!field) return;

  // Replaces a part of the text so that the browser's undo works, and so that scripts hear of it.
  function replace(start, end, text, selectFrom = text.length, selectTo = selectFrom) {
    field.focus();
    field.setSelectionRange(start, end);
    const done = text ? document.execCommand("insertText", false, text) : start === end || document.execCommand("delete");
    if (!done) {
      field.setRangeText(text, start, end, "end");
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }
    field.setSelectionRange(start + selectFrom, start + selectTo);
  }

  function selection() {
    const { selectionStart: start, selectionEnd: end, value } = field;
    return { start, end, value, text: value.slice(start, end) };
  }

  // Returns where the selected words begin and end in each paragraph, list item, and heading, because bold, italic, and
  // links can't span several of them. The marks of lists, quotes, and headings are left out, and so are spaces at the ends.
  const LEAD = /^(?:\s|>|[-*+]\s|\d{1,9}[.)]\s|#{1,6}\s)*/;
  function selectedWords() {
    const { start, end, value } = selection();
    const found = [];
    let at = 0;
    let above;
    for (const line of value.split("\n")) {
      const [lead] = LEAD.exec(line);
      const isEmpty = /^[-*_=\s]*$/.test(line.slice(lead.length));
      const continues = above !== undefined && (!lead.trim() || (lead === above && /^[>\s]*$/.test(lead)));
      const [from, to] = [Math.max(start, at + lead.length), Math.min(end, at + line.length)];
      at += line.length + 1;
      above = isEmpty || lead.includes("#") ? undefined : lead;
      if (isEmpty || from >= to) continue;
      if (continues && found.length) found.at(-1).to = to;
      else found.push({ from, to });
    }
    const trimmed = found.map(({ from, to }) => {
      const text = value.slice(from, to);
      // A backslash at the end is a line break. In front of an asterisk, it would make the asterisk a plain one.
      const words = text.trim().replace(/(?<!\\)\\$/, "").trimEnd();
      const first = from + text.length - text.trimStart().length;
      return { from: first, to: first + words.length, words };
    });
    return trimmed.filter(({ words }) => words);
  }

  // Puts the mark around the selected words, or around a word to type over. Removes it if all of them have it already.
  function surround(mark, sample) {
    const { end, value } = selection();
    const size = mark.length;
    const isMark = (asterisks) => asterisks === size || asterisks === 3;
    const pieces = selectedWords().map((piece) => {
      // The selection may include the asterisks at its ends or not.
      const [, before, inner] = /^(\**)(.*?)\**$/s.exec(piece.words);
      const from = piece.from + before.length;
      const to = from + inner.length;
      const around = Math.min(value.slice(0, from).match(/\**$/)[0].length, value.slice(to).match(/^\**/)[0].length);
      const within = inner.match(/(?<!\\)\*+/g) ?? [];
      const isMarked = inner && isMark(around) && !within.some((run) => isMark(run.length));
      if (isMarked) return { from: from - size, to: to + size, text: inner, isMarked };
      return { from: piece.from, to: piece.to, text: mark + piece.words + mark };
    });
    if (!pieces.length) return replace(end, end, mark + sample + mark, size, size + sample.length);
    const isOn = pieces.every(({ isMarked }) => isMarked);
    const changed = pieces.filter(({ isMarked }) => isOn || !isMarked);
    const gap = ({ to }, next) => value.slice(to, next?.from ?? to);
    const text = changed.map((piece, index) => piece.text + gap(piece, changed[index + 1])).join("");
    const edge = isOn ? 0 : size;
    replace(changed[0].from, changed.at(-1).to, text, edge, text.length - edge);
  }

  // Links the selected words. Of several paragraphs or list items, only the first gets the link.
  function link() {
    const { end } = selection();
    const { from, to, words } = selectedWords()[0] ?? { from: end, to: end, words: "words" };
    if (/^(https?:\/\/|mailto:)\S+$/.test(words)) return replace(from, to, `[words](${words})`, 1, 6);
    const url = "https://";
    replace(from, to, `[${words}](${url})`, words.length + 3, words.length + 3 + url.length);
  }

  // Begins each selected line with a mark, or removes the marks if all lines have one. Another kind of mark is replaced.
  // Blank lines between the lines get the mark `blank`: without one, each paragraph of a quote would be a quote of its own.
  const MARKS = /^(#{1,6} |>(?: |$)|[-*+] |\d{1,9}[.)] )/;
  function begin(mark, pattern, blank = "") {
    const { start, end, value } = selection();
    const from = value.lastIndexOf("\n", start - 1) + 1;
    const next = value.indexOf("\n", end > start && value[end - 1] === "\n" ? end - 1 : end);
    const to = next < 0 ? value.length : next;
    const lines = value.slice(from, to).split("\n");
    const isOn = lines.every((line) => !line || pattern.test(line)) && lines.some((line) => line);
    const isBlank = (line) => /^>?\s*$/.test(line);
    const [first, last] = [lines.findIndex((line) => !isBlank(line)), lines.findLastIndex((line) => !isBlank(line))];
    let number = 0;
    const changed = lines.map((line, index) => {
      if (isOn) return line.replace(pattern, "");
      if (isBlank(line) && lines.length > 1) return index > first && index < last ? blank : "";
      return mark((number += 1)) + line.replace(MARKS, "");
    });
    // A paragraph directly above would continue in the first line.
    const above = value.slice(0, from).replace(/\n$/, "").split("\n").pop();
    const space = !isOn && from && above.trim() && !pattern.test(above) ? "\n" : "";
    const text = space + changed.join("\n");
    replace(from, to, text, lines.length > 1 ? space.length : text.length, text.length);
  }

  const ACTIONS = [
    ["Bold", "B", false, () => surround("**", "bold words")],
    ["Italic", "I", false, () => surround("*", "italic words")],
    ["Link", "K", false, link],
    ["Bulleted list", "8", true, () => begin(() => "- ", /^[-*+] /)],
    ["Numbered list", "7", true, () => begin((number) => `${number}. `, /^\d{1,9}[.)] /)],
    ["Quote", "9", true, () => begin(() => "> ", /^>(?: |$)/, ">")],
    ["Heading", "6", true, () => begin(() => "## ", /^#{1,6} /)],
  ];
  const isApple = /Mac|iPhone|iPad/.test(navigator.platform);

  const toolbar = document.createElement("div");
  toolbar.className = "toolbar";
  toolbar.setAttribute("role", "group");
  toolbar.setAttribute("aria-label", "Format the letter");
  for (const [name, key, withShift, act] of ACTIONS) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain";
    button.textContent = name;
    button.title = isApple ? `${name} (${withShift ? "⇧" : ""}⌘${key})` : `${name} (Ctrl+${withShift ? "Shift+" : ""}${key})`;
    button.setAttribute("aria-keyshortcuts", `${isApple ? "Meta" : "Control"}+${withShift ? "Shift+" : ""}${key}`);
    button.addEventListener("click", act);
    toolbar.append(button);
  }
  field.before(toolbar);

  // Returns the letter or digit of a shortcut. On a Dvorak keyboard, C is where others have I, and Ctrl+C must copy. Layouts
  // without Latin letters, such as Greek, use the places of the letters on a US keyboard, and so do all layouts for digits,
  // because Shift changes what these write.
  function shortcutKey({ key, code }) {
    const isLetter = /^\p{Script=Latin}$/u.test(key) && !code.startsWith("Digit");
    return isLetter ? key.toUpperCase() : code.replace(/^(?:Key|Digit)/, "");
  }

  field.addEventListener("keydown", (event) => {
    if (event.altKey || !(isApple ? event.metaKey : event.ctrlKey)) return;
    const action = ACTIONS.find(([, key, withShift]) => key === shortcutKey(event) && withShift === event.shiftKey);
    if (!action) return;
    event.preventDefault();
    action[3]();
  });

  // Code editors copy Markdown as colored HTML; its plain text is what was meant.
  field.addEventListener("paste", (event) => {
    const { types } = event.clipboardData;
    if (!types.includes("text/html") || types.some((type) => type.startsWith("vscode"))) return;
    const markdown = window.toMarkdown(event.clipboardData.getData("text/html"));
    if (!markdown) return;
    event.preventDefault();
    const { start, end, value } = selection();
    const [before, after] = [value.slice(0, start), value.slice(end)];
    // Blocks need an empty line around them. Words in a line don't.
    const isBlock = markdown.includes("\n\n") || MARKS.test(markdown);
    const space = (text, edge) => (!isBlock || !text.trim() ? "" : "\n".repeat(Math.max(0, 2 - text.match(edge)[0].length)));
    replace(start, end, space(before, /\n*$/) + markdown + space(after, /^\n*/));
  });
})();
