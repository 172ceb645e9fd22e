// A QR code out of the camera or a picture: by the browser's own reader where it has one, and by ours.

import { PREFIX } from "./credential.js";

const LIGHT_ON_DARK = 4; // every so many pictures of the camera are read as light on dark
const OURS_TOO = 3; // every so many are looked at by our reader too, where the browser has its own
const DETECTION = 4_000; // milliseconds that the browser's own reader may take
const NO_PICTURE = 500; // milliseconds after which a video that shows nothing new is looked at again
const STRANGER = 1_500; // milliseconds that a licence is waited for where another code is seen

/** The file is none that the browser can show. */
export class NotAPicture extends Error {}

/** The camera was taken away while it was looked through. */
export class CameraGone extends Error {}

class Reader {
  #worker = null;
  #waiting = new Map();
  #next = 0;
  #detector = null;

  /** Begin to load what is needed, so that it is there without a network too. */
  async prepare() {
    this.#running();
    try {
      const formats = await BarcodeDetector.getSupportedFormats();
      if (formats.includes("qr_code")) this.#detector = new BarcodeDetector({ formats: ["qr_code"] });
    } catch {
      // Most browsers have none; some have one that is not there when it is asked.
    }
  }

  /**
   * The text of a code in what can be drawn, or null; of several that of a licence.
   *
   * @param {{thorough?: boolean, count?: number}} options thorough: for a single picture, after which none
   *   comes; count: the how manieth it is of a stream.
   */
  async read(source, { thorough = false, count = 0 } = {}) {
    const theirs = await this.#detected(source);
    if (isLicence(theirs)) return theirs;
    // Theirs has looked at this picture of the camera; another comes at once.
    if (this.#detector && !thorough && count % OURS_TOO) return theirs;
    const bitmap = await createImageBitmap(source);
    const options = { thorough, invert: count % LIGHT_ON_DARK === LIGHT_ON_DARK - 1, wanted: PREFIX };
    const ours = await this.#asked(bitmap, options);
    return isLicence(ours) ? ours : (theirs ?? ours);
  }

  #asked(bitmap, options) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#running().postMessage({ id, bitmap, ...options }, [bitmap]);
    });
  }

  #running() {
    if (this.#worker) return this.#worker;
    const worker = new Worker(new URL("./scan_worker.js", import.meta.url), { type: "module" });
    worker.addEventListener("message", ({ data: { id, text, failure } }) => {
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (failure === undefined) resolve(text);
      else reject(new Error(failure));
    });
    worker.addEventListener("error", (event) => {
      // It could not be loaded: who waits is told so, and the next picture tries anew.
      worker.terminate();
      this.#worker = null;
      for (const { reject } of this.#waiting.values()) reject(new Error(event.message));
      this.#waiting.clear();
    });
    this.#worker = worker;
    return worker;
  }

  async #detected(source) {
    if (!this.#detector) return null;
    try {
      const found = await within(DETECTION, this.#detector.detect(source));
      const texts = found.map((code) => code.rawValue).filter(Boolean);
      return texts.find(isLicence) ?? texts[0] ?? null;
    } catch {
      // It is announced on phones whose service behind it is missing, or never answers; ours takes over.
      this.#detector = null;
      return null;
    }
  }
}

export const reader = new Reader();

function isLicence(text) {
  return text !== null && text.startsWith(PREFIX);
}

function within(limit, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("no answer in time")), limit);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/**
 * The camera's picture in a video element.
 *
 * @returns {Promise<MediaStream|null>} null where it was stopped before it began.
 * @throws {DOMException} as getUserMedia: NotAllowedError, NotFoundError and others.
 */
export async function openCamera(video, signal) {
  const wanted = { facingMode: { ideal: "environment" }, width: { ideal: 1280 }, height: { ideal: 720 } };
  const stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
  try {
    // Whoever asked twice is answered twice; the later camera has the video element.
    if (signal.aborted) throw signal.reason;
    video.srcObject = stream;
    await video.play();
    if (signal.aborted) throw signal.reason;
  } catch (error) {
    closeCamera(video, stream);
    if (signal.aborted) return null;
    throw error;
  }
  return stream;
}

/** Put out the camera's light, and its last picture too. */
export function closeCamera(video, stream) {
  for (const track of stream.getTracks()) track.stop();
  if (video.srcObject === stream) video.srcObject = null;
}

/** What switches the camera's lamp, or null where it has none. */
export function lampOf(stream) {
  const [track] = stream.getVideoTracks();
  if (!track.getCapabilities?.().torch) return null;
  return (on) => track.applyConstraints({ advanced: [{ torch: on }] });
}

/**
 * The first licence that a video shows; another code, where no licence is seen beside it; null when stopped.
 *
 * @throws {CameraGone}
 */
export async function scan(video, stream, signal) {
  const [track] = stream.getVideoTracks();
  let strangerAt = null;
  for (let count = 0; !signal.aborted; count++) {
    await nextPicture(video);
    if (signal.aborted) break;
    if (track.readyState === "ended") throw new CameraGone();
    if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) continue;
    const text = await reader.read(video, { count });
    if (signal.aborted) break;
    if (isLicence(text)) return text;
    if (text === null) continue;
    strangerAt ??= performance.now();
    if (performance.now() - strangerAt > STRANGER) return text;
  }
  return null;
}

function nextPicture(video) {
  return new Promise((resolve) => {
    // A video that stands still in the background shows no picture; asked again it goes on.
    const timer = setTimeout(resolve, NO_PICTURE);
    const shown = () => {
      clearTimeout(timer);
      resolve();
    };
    if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
    if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(shown);
    else requestAnimationFrame(shown);
  });
}

/** The code in a picture file, or null. @throws {NotAPicture} */
export async function readFile(file) {
  const bitmap = await createImageBitmap(file).catch((error) => {
    throw new NotAPicture(error.message);
  });
  try {
    return await reader.read(bitmap, { thorough: true });
  } finally {
    bitmap.close();
  }
}
