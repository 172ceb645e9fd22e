// A QR code out of the camera or a picture: by the browser's own reader where it has one, else by ours.

const LIGHT_ON_DARK = 4; // every so many pictures of the camera are read as light on dark

class Reader {
  #worker = null;
  #waiting = new Map();
  #next = 0;
  #detector = null;

  /** Begin to load what is needed, so that it is there without a network too. */
  async prepare() {
    this.#worker = new Worker(new URL("./scan_worker.js", import.meta.url), { type: "module" });
    this.#worker.addEventListener("message", ({ data: { id, text } }) => {
      this.#waiting.get(id)?.(text);
      this.#waiting.delete(id);
    });
    try {
      const formats = await BarcodeDetector.getSupportedFormats();
      if (formats.includes("qr_code")) this.#detector = new BarcodeDetector({ formats: ["qr_code"] });
    } catch {
      // Most browsers have none; some have one that is not there when it is asked.
    }
  }

  /** The text of a code in what can be drawn, or null. */
  async read(source, { thorough = false, invert = false } = {}) {
    const theirs = await this.#detected(source);
    if (theirs !== null) return theirs;
    // The browser's own reader has looked at this picture of the camera; another comes at once.
    if (this.#detector && !thorough) return null;
    const bitmap = await createImageBitmap(source);
    const id = this.#next++;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#worker.postMessage({ id, bitmap, thorough, invert }, [bitmap]);
    });
  }

  async #detected(source) {
    if (!this.#detector) return null;
    try {
      const [first] = await this.#detector.detect(source);
      return first?.rawValue || null;
    } catch {
      // It is announced on phones whose service behind it is missing; ours takes over.
      this.#detector = null;
      return null;
    }
  }
}

export const reader = new Reader();

/**
 * The camera's picture in a video element, until stopped.
 *
 * @returns {Promise<MediaStream>}
 * @throws {DOMException} as getUserMedia: NotAllowedError, NotFoundError and others.
 */
export async function openCamera(video) {
  const wanted = { facingMode: { ideal: "environment" }, width: { ideal: 1280 }, height: { ideal: 720 } };
  const stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
  try {
    video.srcObject = stream;
    await video.play();
  } catch (error) {
    closeCamera(stream);
    throw error;
  }
  return stream;
}

export function closeCamera(stream) {
  for (const track of stream.getTracks()) track.stop();
}

/** The first code that a video shows, or null when stopped. */
export async function scan(video, signal) {
  for (let count = 1; !signal.aborted; count++) {
    await nextPicture(video);
    if (signal.aborted) break;
    const text = await reader.read(video, { invert: count % LIGHT_ON_DARK === 0 });
    if (text !== null && !signal.aborted) return text;
  }
  return null;
}

function nextPicture(video) {
  return new Promise((resolve) => {
    // A video that stands still in the background shows no picture; asked again it goes on.
    const timer = setTimeout(resolve, 500);
    const shown = () => {
      clearTimeout(timer);
      resolve();
    };
    if (video.readyState < 2) return;
    if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(shown);
    else requestAnimationFrame(shown);
  });
}

/** The code in a picture file, or null. @throws {DOMException} it is no picture. */
export async function readFile(file) {
  const bitmap = await createImageBitmap(file);
  try {
    return await reader.read(bitmap, { thorough: true });
  } finally {
    bitmap.close();
  }
}
