// What the page holds → rows. It is deflated and in base64, so that ten thousand rows fit into a few megabytes.

/** Bytes of a base64 text; the newest browsers have a function for it. */
function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at += 1) bytes[at] = letters.charCodeAt(at);
  return bytes;
}

/** The lines of JSON in an element of the page; rejects where the browser cannot inflate them. */
async function unpack(id) {
  const packed = bytesOf(document.getElementById(id).textContent.trim());
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const text = await new Response(stream).text();
  return text.split("\n").filter((line) => line).map((line) => JSON.parse(line));
}
