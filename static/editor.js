// The campaign editor: saves drafts while their editor types, and warns before changes are lost. Without this file, the
// form is saved by its buttons.
(() => {
  const form = document.getElementById("editor");
  const status = document.getElementById("saved");
  const PAUSE = 2000; // milliseconds without typing until a draft is saved
  const RETRY = 15000; // milliseconds after which saving is tried again

  // What was typed, as one text. The hidden fields change with each save, and the language of a new translation isn't
  // saved, so they don't count.
  const NOT_TYPED = ["csrf_token", "version", "started_from", "new_language"];
  function typed() {
    const entries = [...new FormData(form)].filter(([name]) => !NOT_TYPED.includes(name));
    return JSON.stringify(entries.map(([name, value]) => [name, value instanceof File ? value.name : value]));
  }

  let saved = "unsaved" in form.dataset ? null : typed();
  let isLeaving = false;
  let running = null; // the save that the server has not answered yet
  let first = null; // the first save of a new draft, until the server has answered it
  let timer;

  addEventListener("beforeunload", (event) => {
    if (!isLeaving && typed() !== saved) event.preventDefault();
  });
  // Browsers on iPhones don't ask then. So ask before following a link, or sending another form of the page.
  function askToLeave(event) {
    if (event.defaultPrevented || typed() === saved) return;
    isLeaving = confirm("Leave without saving? What you have changed since the last save will be lost.");
    if (!isLeaving) event.preventDefault();
  }
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    const isElsewhere = event.ctrlKey || event.metaKey || event.shiftKey || link?.target || link?.hasAttribute("download");
    if (link && !isElsewhere && link.getAttribute("href")[0] !== "#") askToLeave(event);
  });
  document.addEventListener("submit", (event) => event.target !== form && askToLeave(event));
  // The browser may show the page again with its Back button.
  addEventListener("pageshow", () => (isLeaving = false));

  form.addEventListener("submit", async (event) => {
    clearTimeout(timer);
    if (running) {
      // The form must carry the version that the running save makes, or it would be in conflict with itself.
      event.preventDefault();
      await running;
      form.requestSubmit(event.submitter);
      return;
    }
    isLeaving = true;
  });

  function schedule(delay = PAUSE) {
    clearTimeout(timer);
    if (form.dataset.autosave && !isLeaving) timer = setTimeout(save, delay);
  }

  async function save() {
    clearTimeout(timer);
    if (running || !form.dataset.autosave || isLeaving || typed() === saved) return;
    // The address of a new draft is made from its title, so wait until the title is complete.
    const isNew = !form.elements.version.value;
    if (isNew && document.activeElement === form.elements.title) return;
    // If the answer was lost, send the same again: the server recognizes it, and would make a second draft of more.
    const { sent, body } = (isNew && first) || { sent: typed(), body: new FormData(form) };
    if (isNew) first = { sent, body };
    running = send(sent, body).finally(() => (running = null));
    const isDone = await running;
    // More was typed in the meantime.
    if (isDone && typed() !== sent) schedule();
  }

  // Returns whether the draft was saved.
  async function send(sent, body) {
    body.delete("picture");
    try {
      const response = await fetch(form.dataset.autosave, { method: "POST", body, headers: { "HX-Request": "true" } });
      // A page of a proxy or of a public network says nothing about the draft.
      if (!response.headers.has("Campaign-Answer")) throw new TypeError("this is not the desk’s answer");
      first = null;
      if (response.status === 204) return false;
      const html = await response.text();
      if (response.ok) show(html, sent);
      else if (response.status === 404) tell("Not saved: this draft was deleted. Press Save to keep your text.", 404);
      else refuse(html, response.status);
      return response.ok;
    } catch {
      tell("Not saved: there is no connection. We’ll try again.");
      return false;
    }
  }

  function show(html, sent) {
    status.innerHTML = html;
    status.querySelector("time").textContent = new Date().toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
    const { slug, edit, autosave, unsaved } = status.querySelector("[data-edit]").dataset;
    form.toggleAttribute("data-unsaved", unsaved !== undefined);
    form.dataset.autosave = autosave;
    if (form.getAttribute("action") !== edit) {
      // A new draft has its own address from now on.
      form.setAttribute("action", edit);
      for (const button of form.querySelectorAll("[formaction]")) button.setAttribute("formaction", `${edit}#preview`);
      // What was typed while the request ran is not saved yet.
      const isSame = typed() === sent;
      if (form.elements.slug) form.elements.slug.value ||= slug;
      if (isSame) sent = typed();
      history.replaceState(null, "", edit);
    }
    const hasPicture = Boolean(form.elements.picture?.value);
    if (hasPicture) status.querySelector("[data-edit]").append(". The picture is saved when you press Save");
    saved = unsaved === undefined && !hasPicture ? sent : null;
  }

  function refuse(html, code) {
    const fields = [...status.querySelectorAll("input")];
    status.innerHTML = html;
    status.prepend(...fields);
    // After a conflict, or if the draft was deleted, only the form's own buttons can save. Other failures may be over
    // soon.
    if (code === 409 || code === 404) delete form.dataset.autosave;
    else schedule(RETRY);
  }

  function tell(words, code = 0) {
    const message = Object.assign(document.createElement("p"), { className: "message", textContent: words });
    refuse("", code);
    status.append(message);
  }

  // The preview says which fields are still wrong. Remove the messages of those that are fixed.
  function fix(name) {
    const field = form.elements[name];
    document.getElementById(`${name}-message`)?.remove();
    field?.closest(".field")?.classList.remove("wrong");
    field?.removeAttribute("aria-invalid");
    const item = form.querySelector(`.notice li a[href="#${name}"]`)?.parentElement;
    if (item?.parentElement.children.length === 1) item.closest(".notice").remove();
    else item?.remove();
  }

  document.addEventListener("htmx:before:response", (event) => {
    const { response, sourceElement } = event.detail.ctx;
    const wrong = response.headers.get("Campaign-Errors")?.split(" ");
    if (sourceElement.id !== "preview-request" || !wrong) return;
    for (const message of form.querySelectorAll(".message[id$='-message']")) {
      const name = message.id.replace(/-message$/, "");
      // The preview doesn't get the file. So the message about a picture stays until another one is chosen, and a missing
      // description stays missing.
      const isAboutFile = name === "picture" || (name === "picture_text" && !form.elements.picture_text.value);
      if (!wrong.includes(name) && !isAboutFile) fix(name);
    }
  });

  // Show the chosen picture, and shrink a photo before it is sent: phones take photos of 20 MB, on slow networks.
  const WIDEST = 2400; // pixels, twice what the server keeps
  const SMALL = 2e6; // bytes that are sent as they are

  const attached = document.getElementById("attached");
  // A translation has no picture of its own.
  const stored = attached ? [...attached.childNodes] : [];

  async function shrink(input) {
    const [file] = input.files;
    fix("picture");
    attached.replaceChildren(...stored);
    if (!file) return;
    let bitmap;
    try {
      bitmap = await createImageBitmap(file);
    } catch {
      return; // The server says what is wrong with the file.
    }
    // Another picture was chosen in the meantime, or this one was too large (desk.js).
    if (input.files[0] !== file) return;
    const scale = Math.min(1, WIDEST / Math.max(bitmap.width, bitmap.height));
    const size = { width: Math.round(bitmap.width * scale), height: Math.round(bitmap.height * scale) };
    const canvas = Object.assign(document.createElement("canvas"), size);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `The chosen picture: ${file.name}`);
    const paper = canvas.getContext("2d");
    paper.fillStyle = "white";
    paper.fillRect(0, 0, canvas.width, canvas.height);
    paper.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const words = Object.assign(document.createElement("p"), { className: "hint" });
    words.textContent = "This picture will be attached when you press Save.";
    attached.replaceChildren(words, canvas);
    if (scale === 1 && file.size <= SMALL) return;
    const photo = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
    if (!photo || photo.size >= file.size || input.files[0] !== file) return;
    const chosen = new DataTransfer();
    chosen.items.add(new File([photo], `${file.name.replace(/\.\w+$/, "")}.jpg`, { type: photo.type }));
    input.files = chosen.files;
  }

  form.elements.picture?.addEventListener("change", (event) => shrink(event.target));
  form.addEventListener("input", () => {
    // A person who types again has stopped the browser from leaving, for example because the network was slow.
    isLeaving = false;
    schedule();
  });
  form.addEventListener("change", () => schedule());
  document.addEventListener("visibilitychange", () => document.hidden && save());
})();
