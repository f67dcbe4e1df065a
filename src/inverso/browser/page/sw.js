// Keeps what was loaded, so that the page works without a network after the first visit, and isolates the page, so
// that ONNX Runtime may use several threads.

const CACHE = `inverso ${self.registration.scope} ${new URL(self.location.href).searchParams.get("v")}`;

self.addEventListener("install", () => self.skipWaiting());

self.addEventListener("activate", (event) => {
  const tidy = async () => {
    for (const name of await caches.keys()) {
      if (name.startsWith(`inverso ${self.registration.scope} `) && name !== CACHE) await caches.delete(name);
    }
    await self.clients.claim();
  };
  event.waitUntil(tidy());
});

function isolated(answer) {
  const headers = new Headers(answer.headers);
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  return new Response(answer.body, { status: answer.status, statusText: answer.statusText, headers });
}

async function answered(request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request, { ignoreSearch: true });
  // What the page is and which network it has may have changed; everything else belongs to that.
  const asksFirst = request.mode === "navigate" || request.url.endsWith("/model.json");
  if (kept && !asksFirst) return isolated(kept);
  try {
    const fresh = await fetch(request);
    if (fresh.ok) await cache.put(request, fresh.clone());
    return isolated(fresh);
  } catch (error) {
    if (kept) return isolated(kept);
    throw error;
  }
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const here = new URL(request.url).origin === self.location.origin;
  if (request.method === "GET" && here && request.url.startsWith(self.registration.scope)) {
    event.respondWith(answered(request));
  }
});
