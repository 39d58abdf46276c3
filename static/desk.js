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
