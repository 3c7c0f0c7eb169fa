// Renews the part of the page that says where its news come from. Without this the page is whole, and as old as it is.
for (const part of document.querySelectorAll("[data-live]")) {
  const news = new EventSource(part.dataset.live);
  news.onmessage = (event) => {
    // Not under the hands of whoever types or is about to press a button in it.
    if (!part.contains(document.activeElement) || document.activeElement === part) part.innerHTML = event.data;
  };
}
