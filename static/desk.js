// The desk's behavior beyond htmx. Without this file, everything except passkeys works through links and forms.
(() => {
  const page = document.documentElement;
  page.classList.add("live");

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const field = document.getElementById(button.dataset.copy);
    field.select?.();
    await navigator.clipboard.writeText(field.value ?? field.textContent);
    button.textContent = button.dataset.copied;
  });

  if (navigator.share) page.classList.add("can-share");
  document.addEventListener("click", ({ target }) => {
    const { shareUrl: url, shareTitle: title, shareText: text } = target.dataset;
    // The promise is rejected if the user closes the share sheet, which isn't an error.
    if (url) navigator.share({ url, title, text }).catch(() => {});
  });

  // Browsers send an incomplete date as an empty field, which would delete the stored date. Let the browser say what is
  // missing instead, because it can't show an incomplete date again.
  document.addEventListener(
    "submit",
    (event) => {
      const incomplete = [...event.target.elements].find(({ validity }) => validity?.badInput);
      if (!incomplete) return;
      event.preventDefault();
      event.stopPropagation();
      incomplete.reportValidity();
    },
    true,
  );
  // Requests while typing send a word that is no date, so that the server keeps the stored one.
  document.addEventListener("formdata", ({ target, formData }) => {
    for (const { name, validity } of target.elements) if (validity?.badInput) formData.set(name, "incomplete");
  });

  // A new campaign starts in the browser's time zone.
  const { browserZone } = document.querySelector("[data-browser-zone]")?.dataset ?? {};
  if (browserZone) {
    const zones = document.getElementById(browserZone);
    const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
    if ([...zones.options].some(({ value }) => value === timeZone)) zones.value = timeZone;
  }

  // Refresh the live part of a page at the interval that the server sets, while the page is visible.
  let timer;
  const live = () => document.querySelector("[data-interval]");

  function schedule(delay) {
    clearTimeout(timer);
    if (live() && !document.hidden) timer = setTimeout(refresh, delay ?? live().dataset.interval * 1000);
  }

  function refresh() {
    live()?.dispatchEvent(new Event("refresh"));
    schedule();
  }

  // The desk didn't respond. Keep the page as it is, and say so, unless the request repeats itself: refreshes and the
  // preview do.
  function showOffline(element) {
    if (!element?.matches("[hx-post]:not(#preview-request)")) return;
    const notice = document.getElementById("notice");
    const box = document.createElement("p");
    box.className = "notice wrong offline";
    box.setAttribute("role", "alert");
    box.tabIndex = -1;
    box.textContent = notice.dataset.offline;
    notice.replaceChildren(box);
    // A search is sent while its words are typed.
    if (element.matches("button")) box.focus();
  }

  document.addEventListener("htmx:error", ({ detail }) => showOffline(detail.ctx?.sourceElement));

  // All our responses have this header (web/security_headers.py). Others are a proxy's "bad gateway" error or a hotel's
  // login page. A refresh isn't replaced by our own error page, either.
  document.addEventListener("htmx:before:response", (event) => {
    const { response, sourceElement } = event.detail.ctx;
    const isOurs = response.headers.has("Campaign-Answer");
    if (isOurs) document.querySelector(".offline")?.remove();
    const isKept = sourceElement.dataset.interval && response.status >= 400 && response.status !== 401;
    if (isOurs && !isKept) return;
    event.preventDefault();
    if (!isOurs) showOffline(sourceElement);
  });
  document.addEventListener("visibilitychange", () => schedule(0));
  schedule();

  // Passkeys are sent as JSON with bytes in base64url.
  const decode = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const encode = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
  const decodeIds = (list = []) => list.map((key) => ({ ...key, id: decode(key.id) }));

  async function createPasskey(options) {
    const user = { ...options.user, id: decode(options.user.id) };
    const excludeCredentials = decodeIds(options.excludeCredentials);
    const publicKey = { ...options, user, challenge: decode(options.challenge), excludeCredentials };
    const created = await navigator.credentials.create({ publicKey });
    return serialize(created, {
      attestationObject: encode(created.response.attestationObject),
      transports: created.response.getTransports?.() ?? [],
    });
  }

  async function usePasskey(options) {
    const allowCredentials = decodeIds(options.allowCredentials);
    const publicKey = { ...options, challenge: decode(options.challenge), allowCredentials };
    const used = await navigator.credentials.get({ publicKey });
    return serialize(used, {
      authenticatorData: encode(used.response.authenticatorData),
      signature: encode(used.response.signature),
      userHandle: used.response.userHandle && encode(used.response.userHandle),
    });
  }

  function serialize(credential, response) {
    return {
      id: credential.id,
      rawId: encode(credential.rawId),
      type: credential.type,
      extensions: JSON.stringify(credential.getClientExtensionResults()),
      response: { clientDataJSON: encode(credential.response.clientDataJSON), ...response },
    };
  }

  async function submitPasskey(form, getCredential, options) {
    try {
      form.elements.credential.value = JSON.stringify(await getCredential(JSON.parse(options)));
      form.submit();
    } catch {
      const fault = document.getElementById("passkey-fault");
      fault.textContent = fault.dataset.words;
      fault.hidden = false;
    }
  }

  for (const form of document.querySelectorAll("[data-passkey-new]")) submitPasskey(form, createPasskey, form.dataset.passkeyNew);
  for (const form of document.querySelectorAll("[data-passkey]")) submitPasskey(form, usePasskey, form.dataset.passkey);

  // Request the passkey without another click. A user who comes back to this page wants to leave the sign-in.
  const [navigation] = performance.getEntriesByType("navigation");
  if (navigation?.type !== "back_forward") document.querySelector("[data-send-at-once]")?.submit();

  // Keep the preview's scroll position when it refreshes while the user types.
  const preview = () => document.querySelector("#preview iframe");
  let scrollTop = 0;
  document.addEventListener("htmx:before:swap", () => {
    scrollTop = preview()?.contentWindow.scrollY ?? scrollTop;
  });
  document.addEventListener("htmx:after:swap", () => {
    const frame = preview();
    frame?.addEventListener("load", () => frame.contentWindow.scrollTo({ top: scrollTop, behavior: "instant" }));
  });

  // Clear the file field as soon as a file that is too large is chosen: the server would refuse the whole form.
  document.addEventListener("change", ({ target }) => {
    const { most, large } = target.dataset;
    if (!most) return;
    const isLarge = [...target.files].some((file) => file.size > most);
    if (isLarge) target.value = "";
    document.getElementById(large).hidden = !isLarge;
  });

  // The signature table: a checkbox that selects all rows, and a URL that follows the filter.
  function updateUrl() {
    const { address } = document.querySelector("[data-address]")?.dataset ?? {};
    if (address) history.replaceState(null, "", address);
  }

  document.addEventListener("change", ({ target }) => {
    const { every } = target.dataset;
    if (every) for (const box of target.form.querySelectorAll(`[name="${every}"]`)) box.checked = target.checked;
  });
  document.addEventListener("htmx:after:swap", updateUrl);
  updateUrl();
})();
