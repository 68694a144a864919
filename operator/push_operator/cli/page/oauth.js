/** Logging in at a provider: the way there, and the way back. The code in the address is good once, for a minute, and
 * only together with the verifier, which never leaves this window. */

import { readJson, writeJson } from "./conversations.js";

const ATTEMPT_KEY = "push.oauth"; // while the person is at the provider
const REASONS = {
  access_denied: "The login was cancelled.",
  provider_failed: "The provider could not log you in. Try again, or use another way.",
};

function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Leaves the page for the provider's. */
export async function leaveFor(api, name) {
  const verifier = base64url(crypto.getRandomValues(new Uint8Array(32)));
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
  writeJson(sessionStorage, ATTEMPT_KEY, { verifier, search: location.search });
  location.assign(api.providerUrl(name, `${location.origin}/`, base64url(new Uint8Array(digest))));
}

/** What the browser came back with: the answer to the login, or null when it did not come from a provider. Throws what
 * can be shown to a person. */
export async function comeBack(api) {
  const query = new URLSearchParams(location.search);
  const attempt = readJson(sessionStorage, ATTEMPT_KEY, null);
  if (attempt === null || !(query.has("code") || query.has("error"))) return null;
  sessionStorage.removeItem(ATTEMPT_KEY);
  history.replaceState(null, "", `${location.pathname}${attempt.search}`); // a code is nothing to bookmark
  if (query.has("error")) throw new Error(REASONS[query.get("error")] ?? REASONS.provider_failed);
  return api.exchange(query.get("code"), attempt.verifier);
}
