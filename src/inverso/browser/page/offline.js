// The service worker: offline after the first visit, and several threads where the browser allows them.

const PATIENCE = 5000;

function takenOver(version) {
  const is = () => navigator.serviceWorker.controller?.scriptURL.endsWith(`?v=${version}`);
  return new Promise((resolve) => {
    if (is()) resolve(true);
    navigator.serviceWorker.addEventListener("controllerchange", () => is() && resolve(true));
    setTimeout(() => resolve(false), PATIENCE);
  });
}

/**
 * Start the service worker. The page is loaded once more where that isolates it, or where it came from an older
 * version; the promise then never ends.
 *
 * @returns whether the page will work offline.
 */
export async function prepareOffline(version) {
  if (!("serviceWorker" in navigator)) return false;
  const before = navigator.serviceWorker.controller?.scriptURL;
  try {
    await navigator.serviceWorker.register(`sw.js?v=${version}`);
  } catch {
    return false;
  }
  if (!(await takenOver(version))) return false;
  const stale = before !== undefined && !before.endsWith(`?v=${version}`);
  const mark = `inverso reloaded for ${version}`;
  if ((stale || !self.crossOriginIsolated || before === undefined) && !sessionStorage.getItem(mark)) {
    sessionStorage.setItem(mark, "yes");
    location.reload();
    await new Promise(() => {});
  }
  return true;
}
