// Reads QR codes beside the page, so that the camera's picture goes on moving meanwhile.

import { greyOf } from "./qr_binarise.js";
import { readQr } from "./qr.js";

const FRAME = 1280; // longest side of a camera's picture that is looked at
const PHOTO = 4096; // the same of a single picture, in which the code may be small

const canvas = new OffscreenCanvas(1, 1);

addEventListener("message", ({ data: { id, bitmap, ...options } }) => {
  // An answer in any case: the page waits for it.
  try {
    const { grey, width, height } = pixels(bitmap, options.thorough ? PHOTO : FRAME);
    postMessage({ id, text: readQr(grey, width, height, options) });
  } catch (error) {
    postMessage({ id, failure: String(error) });
  } finally {
    bitmap.close();
  }
});

function pixels(bitmap, longest) {
  const scale = Math.min(1, longest / Math.max(bitmap.width, bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * scale));
  const height = Math.max(1, Math.round(bitmap.height * scale));
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0, width, height);
  const grey = greyOf(context.getImageData(0, 0, width, height).data);
  // Nothing of what was seen stays behind, nor under the next picture where that is transparent.
  context.clearRect(0, 0, width, height);
  return { grey, width, height };
}
