/* Talking to the service. The token comes behind the # of the link that the start command prints: a browser sends that to nobody.
   It moves to sessionStorage, which belongs to this host and port, and goes with one path only. */
const TOKEN = "quorum-lab-token", FAULTS = "/api/real/cluster/faults";

function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!given) return;
  sessionStorage.setItem(TOKEN, given);
  history.replaceState(null, "", location.pathname + location.search);
}
takeToken();
window.addEventListener("hashchange", () => { takeToken(); location.reload(); });

export const hasToken = () => sessionStorage.getItem(TOKEN) !== null;
export const forgetToken = () => sessionStorage.removeItem(TOKEN);

export async function ask(method, path, body) {
  const options = { method, headers: {} };
  if (path === FAULTS && hasToken()) options.headers.Authorization = `Bearer ${sessionStorage.getItem(TOKEN)}`;
  if (body !== undefined) { options.headers["Content-Type"] = "application/json"; options.body = JSON.stringify(body); }
  const response = await fetch(path, options);
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.detail || response.statusText), { status: response.status });
  return answer;
}
export const faults = () => ask("GET", FAULTS);
export const fault = (action, more = {}) => ask("POST", FAULTS, { action, ...more });
