// Shows the page anew when files were saved. A page in the background does not listen: browsers keep few connections to one server.
const live = document.getElementById("live");
let changes;

function listen() {
  changes?.close();
  if (document.visibilityState !== "visible") return;
  changes = new EventSource(`/changes/${document.documentElement.dataset.version}`);
  changes.onopen = () => (live.textContent = "follows the files");
  changes.onerror = () => (live.textContent = "the preview has ended");
  changes.onmessage = () => location.reload();
}

document.addEventListener("visibilitychange", listen);
listen();
