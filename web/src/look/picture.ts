// A picture as a model takes it: a JPEG or PNG of at most so many pixels a side, inside the message.
import { Trouble } from "../engines/engine.ts";

const MOST_PIXELS = 1344;
const QUALITY = 0.9;

/** The picture as a data: URL. Throws Trouble "picture". */
export async function picture(file: File): Promise<string> {
  const url = URL.createObjectURL(file);
  const image = new Image();
  try {
    image.src = url;
    await image.decode();
  } catch {
    throw new Trouble("picture", file.name);
  } finally {
    URL.revokeObjectURL(url);
  }
  const scale = Math.min(1, MOST_PIXELS / Math.max(image.naturalWidth, image.naturalHeight, 1));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(image.naturalWidth * scale));
  canvas.height = Math.max(1, Math.round(image.naturalHeight * scale));
  const paper = canvas.getContext("2d");
  if (!paper) throw new Trouble("picture", file.name);
  paper.fillStyle = "#fff"; // what is transparent would become black in a JPEG
  paper.fillRect(0, 0, canvas.width, canvas.height);
  paper.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", QUALITY);
}
