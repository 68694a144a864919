/** The service worker: shows what comes by Web Push, and opens the conversation that it is about. */

const worker = globalThis;
const QUIET = ["badge", "background"]; // nothing that anybody is to notice

async function tell({ title, body, tag, conversation, badge, show }) {
  if (badge !== undefined) await worker.navigator.setAppBadge?.(badge).catch(() => {}); // only installed pages have one
  if (QUIET.includes(show)) return;
  const options = { body, tag, renotify: tag !== undefined, icon: "favicon.svg", data: { conversation } };
  await worker.registration.showNotification(title ?? "New message", options);
}

/** The page's own name for a conversation, which stands behind the # of its address. */
function placeOf(conversation = "") {
  return encodeURIComponent(conversation.replace(/^user:/, ""));
}

async function open(conversation) {
  const place = placeOf(conversation);
  const [page] = await worker.clients.matchAll({ type: "window", includeUncontrolled: true }); // the last used is first
  if (page === undefined) return worker.clients.openWindow(`./#${place}`);
  page.postMessage({ open: place });
  return page.focus();
}

worker.addEventListener("push", (event) => event.waitUntil(tell(event.data?.json() ?? {})));
worker.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(event.notification.data?.conversation));
});
