/** Pages of the history, joined to what a conversation has already. */

const MAX_CATCH_UP_PAGES = 10;

/** Loads pages from the newest on until they meet what is known, so that no gap stays in between. */
export async function loadUntilKnown(conversation, load) {
  const pages = [];
  let before = null;
  do {
    const page = await load(before);
    pages.push(page);
    before = page.next;
    if (!conversation.loaded) break; // nothing to join with: one page, older ones on request
    if (page.messages.some(({ message_id: messageId }) => conversation.has(messageId))) break;
  } while (before !== null && pages.length < MAX_CATCH_UP_PAGES);
  const joined = conversation.loaded && pages.at(-1).messages.some((one) => conversation.has(one.message_id));
  if (conversation.loaded && !joined) conversation.reset();
  for (const page of pages) page.messages.forEach((message) => conversation.add(message));
  if (!joined) conversation.next = before;
  conversation.loaded = true;
}

export async function loadOlder(conversation, load) {
  const page = await load(conversation.next);
  page.messages.forEach((message) => conversation.add(message));
  conversation.next = page.next;
}
