// window.toMarkdown: turns HTML from Word, Google Docs, web pages, and mail into the Markdown of a letter. Headings, bold,
// italic, links, lists, and quotes are kept, and nothing else. The HTML is only parsed: nothing in it runs or loads.
(() => {
  const SKIPPED = new Set(["SCRIPT", "TITLE", "HEAD", "TEMPLATE", "NOSCRIPT", "OBJECT", "IFRAME", "SVG", "DEL", "S", "BUTTON", "SELECT", "TEXTAREA"]);
  const BLOCKS = "ADDRESS ARTICLE ASIDE BLOCKQUOTE BODY CAPTION CENTER DD DETAILS DIV DL DT FIELDSET FIGCAPTION FIGURE FOOTER FORM H1 H2 H3 H4 H5 H6 HEADER HR LI MAIN NAV OL P PRE SECTION SUMMARY TABLE TBODY TD TFOOT TH THEAD TR UL";
  const IS_BLOCK = new Set(BLOCKS.split(" "));
  const isElement = (node) => node.nodeType === Node.ELEMENT_NODE;
  const hasBlocks = (node) => [...node.children].some((child) => IS_BLOCK.has(child.tagName) || hasBlocks(child));

  // The content policy forbids inline styles and scripts, even where nothing is shown or run. So they are parsed as data.
  // Older versions of Word put the mark of a list item only between two comments. It gets the style of newer versions.
  const MARK_IN_COMMENTS = /<!(?:--)?\[if !supportLists\](?:--)?>((?:(?!<!)[^])*?)<!(?:--)?\[endif\](?:--)?>/gi;
  const asData = (html) =>
    html
      .replace(MARK_IN_COMMENTS, '<span style="mso-list:ignore">$1</span>')
      .replace(/<(\/?)style\b/gi, "<$1template")
      .replace(/<[a-z][^>]*>/gi, (tag) => tag.replace(/\s(style|on[a-z]+)\s*=/gi, " data-$1="));

  function styleOf(node, name) {
    const found = new RegExp(`(?:^|;)\\s*${name}\\s*:\\s*([^;]+)`, "i").exec(node.getAttribute("data-style") ?? "");
    return found ? found[1].trim().toLowerCase() : "";
  }

  // Review comments of Word and the references to them. The words that a comment is about stay.
  const COMMENTS = ".MsoCommentReference, .msocomanchor, .msocomtxt, a[href*='#_msocom_'], a[name^='_msoanchor']";
  const isComment = (node) =>
    node.matches(COMMENTS) || /^comment/.test(styleOf(node, "mso-element")) || styleOf(node, "mso-special-character") === "comment";

  // The number or bullet that Word writes in front of a list item or a heading. Markdown has its own.
  const isMark = (node) => /^ignore/.test(styleOf(node, "mso-list"));
  const markOf = (node) => [...node.querySelectorAll("[data-style]")].find(isMark)?.textContent.trim() ?? "";
  const isNumber = (mark) => /^\(?(\d|[a-z]{1,4}[.)])/i.test(mark);

  const isSkipped = (node) =>
    SKIPPED.has(node.tagName.toUpperCase()) || styleOf(node, "display") === "none" || isMark(node) || isComment(node);

  // What the words in an element look like, given how those around it look.
  function look(node, { bold, italic, url }) {
    const [weight, slant] = [styleOf(node, "font-weight"), styleOf(node, "font-style")];
    if (/^(B|STRONG)$/.test(node.tagName)) bold = true;
    if (/^(I|EM|CITE)$/.test(node.tagName)) italic = true;
    // Google Docs wraps everything in <b style="font-weight:normal">.
    if (weight) bold = weight.startsWith("bold") || Number(weight) >= 600;
    if (slant) italic = slant !== "normal";
    if (node.tagName === "A" && node.hasAttribute("href")) url = address(node.getAttribute("href"));
    return { bold, italic, url };
  }

  // Only addresses that a letter may link to. Google Docs and mail programs wrap them in their own.
  function address(href) {
    try {
      const url = new URL(href.trim());
      const inner = url.hostname.endsWith("google.com") && url.pathname === "/url" && url.searchParams.get("q");
      if (inner) return address(inner);
      if (!/^(https?|mailto):$/.test(url.protocol)) return "";
      return href.trim().replace(/[\s()<>\\]/g, (sign) => `%${sign.charCodeAt(0).toString(16).padStart(2, "0").toUpperCase()}`);
    } catch {
      return "";
    }
  }

  const escapedWords = (text) =>
    text.replace(/[\\`*[\]<]|(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])|&(?=#?\w+;)/gu, "\\$&");

  // A URL among the words, which becomes a link (letter/markdown.py). It ends at a backslash, so nothing in it is escaped.
  const BARE_URL =
    /((?<![a-z0-9@./:-])(?:https?:\/\/|www\.)[\p{L}\p{M}\p{N}.:_-]+(?:[/?#][^\s<>[\]\\`"“”„‘’‚«»‹›、。，；：！？（）「」『』【】《》]*)?)/giu;
  const escaped = (text) =>
    text.split(BARE_URL).map((part, index) => (index % 2 ? withUrl(part) : escapedWords(part))).join("");

  function withUrl(found) {
    const url = withoutPunctuation(found);
    return url + escapedWords(found.slice(url.length));
  }

  // Returns the URL without the punctuation after it. A closing parenthesis stays if the URL has the opening one.
  function withoutPunctuation(url) {
    let surplus = url.split(")").length - url.split("(").length;
    let end = url.length;
    for (; end; end -= 1) {
      if (url[end - 1] === ")" && surplus > 0) surplus -= 1;
      else if (!"?!.,:;*_~'…".includes(url[end - 1])) break;
    }
    return url.slice(0, end);
  }

  // What would begin a heading, a quote, a list, or a rule.
  const escapedLine = (line) =>
    line.replace(/^(?:[-+]|#{1,6})(?=\s|$)|^>|^~{3}|^=+$|^-+$/, "\\$&").replace(/^(\d{1,9})([.)])(?=\s|$)/, "$1\\$2");

  // Collects the words of an element as runs that look the same.
  function collect(node, style, runs) {
    for (const child of node.childNodes) {
      if (child.nodeType === Node.TEXT_NODE) add(runs, child.data, style);
      else if (!isElement(child) || isSkipped(child)) continue;
      else if (child.tagName === "BR") runs.push({ text: "\n" });
      else collect(child, look(child, style), runs);
    }
    return runs;
  }

  function add(runs, data, style) {
    const text = data.replace(/[\s\u00a0]+/g, " ");
    const last = runs.at(-1);
    const isSame = last && last.text !== "\n" && ["bold", "italic", "url"].every((key) => last[key] === style[key]);
    if (isSame) last.text = `${last.text}${text}`.replace(/ {2,}/g, " ");
    else if (text) runs.push({ text, ...style });
  }

  // Returns paragraphs: two line breaks in a row begin another, and one is a line break in the letter.
  function paragraphs(runs) {
    const text = runs.map(written).join("").replace(/ *\n */g, "\n").replace(/ {2,}/g, " ");
    return text
      .split(/\n{2,}/)
      .map((each) => each.trim().split("\n").map(escapedLine).join("\\\n"))
      .filter(Boolean);
  }

  function written({ text, bold, italic, url }) {
    if (text === "\n") return text;
    const [, before, words, after] = /^(\s*)(.*?)(\s*)$/s.exec(text);
    if (!words) return text;
    const mark = (bold ? "**" : "") + (italic ? "*" : "");
    // Within a link, a URL is only words.
    const marked = mark + (url ? escapedWords(words) : escaped(words)) + [...mark].reverse().join("");
    return before + (url ? `[${marked}](${url})` : marked) + after;
  }

  // Returns the blocks of an element as Markdown. Neighboring lists, and neighboring list paragraphs of Word, are one list.
  function blocks(parent, style) {
    const made = [];
    let runs = [];
    let items = [];
    const endWords = () => made.push(...paragraphs(runs.splice(0)));
    const endList = () => items.length && made.push(list(items.splice(0)));
    for (const child of parent.childNodes) {
      if (child.nodeType === Node.TEXT_NODE) {
        if (child.data.trim()) endList();
        add(runs, child.data, style);
      } else if (!isElement(child) || isSkipped(child)) continue;
      else if (child.tagName === "BR") runs.push({ text: "\n" });
      else if (!IS_BLOCK.has(child.tagName) && !hasBlocks(child)) {
        if (child.textContent.trim()) endList();
        collect(child, look(child, style), runs);
      } else {
        endWords();
        const found = listItems(child, look(child, style));
        if (!found) endList();
        if (found) items.push(...found);
        else made.push(...block(child, look(child, style)));
      }
    }
    endList();
    endWords();
    return made;
  }

  const inner = (node, style) => (hasBlocks(node) ? blocks(node, style) : paragraphs(collect(node, style, [])));

  const headingLevel = (node) => (node.classList.contains("MsoTitle") ? 1 : Number(/^H([1-6])$/.exec(node.tagName)?.[1]));

  function block(node, style) {
    const level = headingLevel(node);
    if (level) {
      const mark = markOf(node);
      const number = isNumber(mark) ? `${escapedWords(mark)} ` : "";
      const runs = collect(node, style, []).map((run) => ({ ...run, bold: false }));
      const words = paragraphs(runs).join(" ").replace(/\\\n/g, " ");
      return words ? [`${"#".repeat(level)} ${number}${words}`] : [];
    }
    if (node.tagName === "HR") return ["---"];
    if (node.tagName === "PRE") return paragraphs(node.textContent.split("\n").flatMap((text) => [{ text }, { text: "\n" }]));
    const made = inner(node, style);
    const isQuote = node.tagName === "BLOCKQUOTE" || /^Mso(Intense)?Quote/.test(node.className);
    return isQuote && made.length ? [made.join("\n\n").replace(/^/gm, "> ").replace(/^> $/gm, ">")] : made;
  }

  // Returns the items of a list, of a wrapper with nothing but lists, or of a list paragraph of Word; otherwise nothing.
  function listItems(node, style, level = 0) {
    const wordLevel = /\blevel(\d)/.exec(styleOf(node, "mso-list"));
    if (wordLevel && !headingLevel(node)) {
      const mark = markOf(node);
      // The last number of "2.3." counts. Letters and Roman numerals begin at 1.
      const start = Number(/(\d{1,9})\W*$/.exec(mark)?.[1] ?? 1);
      return [{ level: wordLevel[1] - 1, isOrdered: isNumber(mark), start, blocks: inner(node, style) }];
    }
    const children = [...node.children].filter((child) => !isSkipped(child));
    if (!/^[UO]L$/.test(node.tagName)) {
      const isWrapper = node.tagName === "DIV" && children.length && [...node.childNodes].every((child) => isElement(child) || !child.data.trim());
      const lists = isWrapper ? children.map((child) => listItems(child, look(child, style), level)) : [undefined];
      return lists.every(Boolean) ? lists.flat() : undefined;
    }
    const isOrdered = node.tagName === "OL";
    let start = Number(node.getAttribute("start")) || 1;
    return children.flatMap((child) => {
      // Google Docs puts a list within a list beside the items, and Word for the web tells only the level.
      if (/^[UO]L$/.test(child.tagName)) return listItems(child, style, level + 1);
      const told = Number(child.getAttribute("aria-level") ?? child.dataset.ariaLevel) - 1;
      const own = Math.max(level, told || 0);
      const within = [...child.querySelectorAll("ul, ol")].filter((each) => each.parentElement.closest("ul, ol") === node);
      const below = within.flatMap((each) => listItems(each, style, own + 1));
      for (const each of within) each.remove();
      return [{ level: own, isOrdered, start: start++, blocks: inner(child, look(child, style)) }, ...below];
    });
  }

  // Writes the items of a list, indented as far as the words of the item above them.
  function list(items) {
    const open = [];
    const lines = items.filter((item) => item.blocks.length).map((item, index) => {
      while (open.length > 1 && open.at(-1).level > item.level) open.pop();
      let top = open.at(-1);
      if (!top || top.level < item.level) {
        top = { level: item.level, indent: top ? top.indent + top.width : 0, isOrdered: item.isOrdered, number: item.start, isNew: true };
        open.push(top);
      }
      if (top.isOrdered !== item.isOrdered) Object.assign(top, { isOrdered: item.isOrdered, number: item.start, isNew: true });
      // A list that doesn't begin with 1 needs an empty line above it. Otherwise, Markdown reads it as part of the words above.
      const space = index && top.isNew && item.isOrdered && item.start !== 1 ? "\n" : "";
      top.isNew = false;
      const mark = item.isOrdered ? `${top.number++}. ` : "- ";
      top.width = mark.length;
      const [first, ...rest] = item.blocks.join("\n\n").split("\n");
      const under = " ".repeat(top.indent + mark.length);
      return [space + " ".repeat(top.indent) + mark + first, ...rest.map((line) => line && under + line)].join("\n");
    });
    return lines.join("\n");
  }

  window.toMarkdown = (html) => {
    const { body } = new DOMParser().parseFromString(asData(html), "text/html");
    return blocks(body, { bold: false, italic: false, url: "" }).join("\n\n");
  };
})();
