/** Notifications while the page is closed: permission, the browser's subscription, and this device at the platform. */

import { ApiError } from "./api.js";

/** Whether this browser can be notified at all. */
export function canNotify() {
  return "serviceWorker" in navigator && "PushManager" in globalThis && "Notification" in globalThis;
}

/** What a notification that is clicked wants opened goes into the address, which the chat follows. */
export function followNotifications() {
  if (!canNotify()) return;
  navigator.serviceWorker.addEventListener("message", ({ data }) => data?.open && (location.hash = data.open));
}

/** Asks for permission and registers this window's device; what to tell the user. */
export async function notifyMe(api, token, deviceId) {
  try {
    const key = await api.webPushKey();
    if ((await Notification.requestPermission()) !== "granted") return "This browser does not allow it here.";
    const subscription = await subscribed(key);
    await api.registerDevice(token, { device_id: deviceId, subscription: subscription.toJSON() });
    return "You will be notified here.";
  } catch (error) {
    return error instanceof ApiError ? error.message : `This browser cannot be notified: ${error.message}`;
  }
}

async function subscribed(key) {
  await navigator.serviceWorker.register("sw.js");
  const { pushManager } = await navigator.serviceWorker.ready;
  const options = { userVisibleOnly: true, applicationServerKey: key };
  try {
    return await pushManager.subscribe(options);
  } catch (error) {
    if (error.name !== "InvalidStateError") throw error;
    await (await pushManager.getSubscription())?.unsubscribe(); // it was made with another key
    return pushManager.subscribe(options);
  }
}
