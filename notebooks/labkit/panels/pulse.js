// Notices by itself that the kernel has ended: a page cannot be told so by a kernel that is gone (see pulse.py). And
// lets the light of running traffic blink.
const CHECK_MS = 1000, BLINK_MS = 500;
const SILENT_CHECKS_MAX = 6; // counted in checks, not by the clock: a computer that slept has not been silent

async function render({ model, el }) {
  const note = el.appendChild(document.createElement("div"));
  note.className = "lab-ended-note";
  note.setAttribute("role", "status");
  let silentChecks = 0;

  const show = (hasEnded) => {
    const panel = el.closest(".lab-panel");
    const words = hasEnded ? "✕ This panel belongs to a kernel that has ended; run the cell again." : "";
    if (note.textContent !== words) note.textContent = words;
    if (!panel) return;
    panel.classList.toggle("lab-ended", hasEnded);
    for (const part of panel.children) if (!part.contains(el)) part.inert = hasEnded;
  };
  const heard = () => { silentChecks = 0; show(false); };
  const check = () => { silentChecks += 1; if (silentChecks >= SILENT_CHECKS_MAX) show(true); };
  const timer = setInterval(check, CHECK_MS);
  const blink = setInterval(() => el.closest(".lab-cockpit:not(.lab-ended)")?.classList.toggle("lab-off-beat"), BLINK_MS);
  model.on("change:beat", heard);

  // JupyterLab says of each widget whether its kernel is there; a restart is noticed at once.
  const me = await model.widget_manager.get_model(model.get("me")).catch(() => null);
  const connection = () => { if (me.comm_live === false) { silentChecks = SILENT_CHECKS_MAX; show(true); } };
  me?.on("comm_live_update", connection);
  return () => { clearInterval(timer); clearInterval(blink); model.off("change:beat", heard); me?.off("comm_live_update", connection); };
}
export default { render };
