// What the desk's pages do beyond htmx. Without this file everything works by links and forms, but for passkeys.
(() => {
  const page = document.documentElement;
  page.classList.add("live");

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const field = document.getElementById(button.dataset.copy);
    field.select();
    await navigator.clipboard.writeText(field.value);
    button.textContent = button.dataset.copied;
  });

  // What follows the news asks again by itself, as often as the server says, while somebody can see it.
  let timer;
  const live = () => document.querySelector("[data-interval]");

  function plan(delay) {
    clearTimeout(timer);
    if (live() && !document.hidden) timer = setTimeout(refresh, delay ?? live().dataset.interval * 1000);
  }

  function refresh() {
    live()?.dispatchEvent(new Event("refresh"));
    plan();
  }

  // What is there stays, when the answer is no news: a proxy's "bad gateway", or an error of ours.
  document.addEventListener("htmx:before:response", (event) => {
    const { response, sourceElement } = event.detail.ctx;
    const news = response.status < 400 && response.headers.has("Campaign-Answer");
    if (sourceElement.dataset.interval && !news && response.status !== 401) event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => plan(0));
  plan();

  // Passkeys travel as JSON in which bytes are base64url.
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
  const known = (list = []) => list.map((key) => ({ ...key, id: bytes(key.id) }));

  async function make(options) {
    const user = { ...options.user, id: bytes(options.user.id) };
    const publicKey = { ...options, user, challenge: bytes(options.challenge), excludeCredentials: known(options.excludeCredentials) };
    const made = await navigator.credentials.create({ publicKey });
    return written(made, {
      attestationObject: text(made.response.attestationObject),
      transports: made.response.getTransports?.() ?? [],
    });
  }

  async function use(options) {
    const publicKey = { ...options, challenge: bytes(options.challenge), allowCredentials: known(options.allowCredentials) };
    const got = await navigator.credentials.get({ publicKey });
    return written(got, {
      authenticatorData: text(got.response.authenticatorData),
      signature: text(got.response.signature),
      userHandle: got.response.userHandle && text(got.response.userHandle),
    });
  }

  function written(credential, response) {
    return {
      id: credential.id,
      rawId: text(credential.rawId),
      type: credential.type,
      extensions: JSON.stringify(credential.getClientExtensionResults()),
      response: { clientDataJSON: text(credential.response.clientDataJSON), ...response },
    };
  }

  async function ask(form, how, options) {
    try {
      form.elements.credential.value = JSON.stringify(await how(JSON.parse(options)));
      form.submit();
    } catch {
      const fault = document.getElementById("passkey-fault");
      fault.textContent = fault.dataset.words;
      fault.hidden = false;
    }
  }

  for (const form of document.querySelectorAll("[data-passkey-new]")) ask(form, make, form.dataset.passkeyNew);
  for (const form of document.querySelectorAll("[data-passkey]")) ask(form, use, form.dataset.passkey);

  // The preview comes anew while somebody types; what they look at in it stays where it is.
  const preview = () => document.querySelector("#preview iframe");
  let place = 0;
  document.addEventListener("htmx:before:swap", () => {
    place = preview()?.contentWindow.scrollY ?? place;
  });
  document.addEventListener("htmx:after:swap", () => {
    const frame = preview();
    frame?.addEventListener("load", () => frame.contentWindow.scrollTo({ top: place, behavior: "instant" }));
  });

  // With a file that is too large, all that was typed would be refused; so it is let go of at once.
  document.addEventListener("change", ({ target }) => {
    const { most, large } = target.dataset;
    if (!most) return;
    const isLarge = [...target.files].some((file) => file.size > most);
    if (isLarge) target.value = "";
    document.getElementById(large).hidden = !isLarge;
  });

  // The table of signatures: one tick for all on the page, and the page's address follows the filter.
  function follow() {
    const { address } = document.querySelector("[data-address]")?.dataset ?? {};
    if (address) history.replaceState(null, "", address);
  }

  document.addEventListener("change", ({ target }) => {
    const { every } = target.dataset;
    if (every) for (const one of target.form.querySelectorAll(`[name="${every}"]`)) one.checked = target.checked;
  });
  document.addEventListener("htmx:after:swap", follow);
  follow();
})();
