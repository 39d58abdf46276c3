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

  // Puts the mark around the selection, or around a word to type over. Removes it if it is there already.
  function surround(mark, sample) {
    let { start, end, value, text } = selection();
    start += text.length - text.trimStart().length;
    text = text.trim();
    end = start + text.length;
    const size = mark.length;
    const isMarked = (from, to) => {
      const [before, after] = [value.slice(0, from).match(/\**$/)[0].length, value.slice(to).match(/^\**/)[0].length];
      return Math.min(before, after) === size || Math.min(before, after) === 3;
    };
    if (text && isMarked(start, end)) return replace(start - size, end + size, text, 0, text.length);
    const words = text || sample;
    replace(start, end, mark + words + mark, size, size + words.length);
  }

  function link() {
    const { start, end, text } = selection();
    if (/^(https?:\/\/|mailto:)\S+$/.test(text)) return replace(start, end, `[words](${text})`, 1, 6);
    const words = text.trim() || "words";
    const url = "https://";
    replace(start, end, `[${words}](${url})`, words.length + 3, words.length + 3 + url.length);
  }

  // Begins each selected line with a mark, or removes the marks if all lines have one. Another kind of mark is replaced.
  const MARKS = /^(#{1,6} |> |[-*+] |\d{1,9}[.)] )/;
  function begin(mark, pattern) {
    const { start, end, value } = selection();
    const from = value.lastIndexOf("\n", start - 1) + 1;
    const next = value.indexOf("\n", end > start && value[end - 1] === "\n" ? end - 1 : end);
    const to = next < 0 ? value.length : next;
    const lines = value.slice(from, to).split("\n");
    const isOn = lines.every((line) => !line || pattern.test(line)) && lines.some((line) => line);
    let number = 0;
    const changed = lines.map((line) => {
      if (isOn) return line.replace(pattern, "");
      return line || lines.length === 1 ? mark((number += 1)) + line.replace(MARKS, "") : line;
    });
    // A paragraph directly above would continue in the first line.
    const above = value.slice(0, from).replace(/\n$/, "").split("\n").pop();
    const space = !isOn && from && above.trim() && !pattern.test(above) ? "\n" : "";
    const text = space + changed.join("\n");
    replace(from, to, text, lines.length > 1 ? space.length : text.length, text.length);
  }

  const ACTIONS = [
    ["Bold", "KeyB", false, () => surround("**", "bold words")],
    ["Italic", "KeyI", false, () => surround("*", "italic words")],
    ["Link", "KeyK", false, link],
    ["Bulleted list", "Digit8", true, () => begin(() => "- ", /^[-*+] /)],
    ["Numbered list", "Digit7", true, () => begin((number) => `${number}. `, /^\d{1,9}[.)] /)],
    ["Quote", "Digit9", true, () => begin(() => "> ", /^> /)],
    ["Heading", "Digit6", true, () => begin(() => "## ", /^#{1,6} /)],
  ];
  const isApple = /Mac|iPhone|iPad/.test(navigator.platform);

  const toolbar = document.createElement("div");
  toolbar.className = "toolbar";
  toolbar.setAttribute("role", "group");
  toolbar.setAttribute("aria-label", "Format the letter");
  for (const [name, code, withShift, act] of ACTIONS) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain";
    button.textContent = name;
    const key = code.slice(-1);
    button.title = isApple ? `${name} (${withShift ? "⇧" : ""}⌘${key})` : `${name} (Ctrl+${withShift ? "Shift+" : ""}${key})`;
    button.setAttribute("aria-keyshortcuts", `${isApple ? "Meta" : "Control"}+${withShift ? "Shift+" : ""}${key}`);
    button.addEventListener("click", act);
    toolbar.append(button);
  }
  field.before(toolbar);

  field.addEventListener("keydown", (event) => {
    if (event.altKey || !(isApple ? event.metaKey : event.ctrlKey)) return;
    const action = ACTIONS.find(([, code, withShift]) => event.code === code && event.shiftKey === withShift);
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
