// Pictures of a message: by drop, paste and the button; made smaller, shown beside the text, and opened in full.

import { $, button, h, icon, toast } from "./dom.js";

const SIDE = 1280; // pixels of the longer side: a model sees no more
const SMALL = 400_000; // bytes of a file that is sent as it is
const MOST = 8;
const AS_THEY_ARE = ["image/png", "image/jpeg", "image/webp", "image/gif"];

/** Return the data URL of a picture, smaller if it is large. */
async function read(file) {
  const bitmap = await createImageBitmap(file);
  try {
    const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
    if (scale === 1 && file.size <= SMALL && AS_THEY_ARE.includes(file.type)) return await asItIs(file);
    const canvas = h("canvas", { width: Math.max(1, Math.round(bitmap.width * scale)), height: Math.max(1, Math.round(bitmap.height * scale)) });
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff"; // JPEG has no transparency
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return canvas.toDataURL("image/jpeg", 0.88);
  } finally {
    bitmap.close();
  }
}

function asItIs(file) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => failed(reader.error);
    reader.readAsDataURL(file);
  });
}

/** The pictures that wait beside the message field. */
export class Pictures {
  /** `changed` is called when one is added or removed. */
  constructor(changed) {
    this.changed = changed;
    this.urls = [];
    $("add-picture").addEventListener("click", () => $("picture-file").click());
    $("picture-file").addEventListener("change", () => {
      this.add([...$("picture-file").files]);
      $("picture-file").value = "";
    });
    $("composer-text").addEventListener("paste", (event) => {
      const files = [...event.clipboardData.files].filter((file) => file.type.startsWith("image/"));
      if (!files.length) return;
      event.preventDefault();
      this.add(files);
    });
    this.watchDrops();
  }

  watchDrops() {
    const area = document.body;
    const carries = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
    let inside = 0; // elements under the pointer that were entered and not left
    area.addEventListener("dragenter", (event) => {
      if (!carries(event)) return;
      inside += 1;
      $("drop").hidden = false;
    });
    area.addEventListener("dragleave", (event) => {
      if (carries(event) && (inside -= 1) <= 0) this.endDrop();
    });
    area.addEventListener("dragover", (event) => { if (carries(event)) event.preventDefault(); });
    area.addEventListener("drop", (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      inside = 0;
      this.endDrop();
      this.add([...event.dataTransfer.files]);
    });
  }

  endDrop() {
    $("drop").hidden = true;
  }

  async add(files) {
    for (const file of files) {
      if (this.urls.length >= MOST) {
        toast(`A message can have ${MOST} pictures.`);
        break;
      }
      if (!file.type.startsWith("image/")) {
        toast(`“${file.name}” is no picture: only pictures can be added.`);
        continue;
      }
      try {
        this.urls.push(await read(file));
      } catch {
        toast(`“${file.name}” can't be read as a picture.`);
      }
    }
    this.draw();
    $("composer-text").focus();
  }

  /** Return the pictures, and forget them. */
  take() {
    const taken = this.urls;
    this.urls = [];
    this.draw();
    return taken;
  }

  /** Bring pictures back, such as those of a message that is edited. */
  put(urls) {
    this.urls = [...urls];
    this.draw();
  }

  draw() {
    $("pictures").hidden = !this.urls.length;
    $("pictures").replaceChildren(...this.urls.map((url, index) => h("li", {},
      h("img", { src: url, alt: `Picture ${index + 1} of the message` }),
      button(`Remove picture ${index + 1}`, "close", () => {
        this.urls.splice(index, 1);
        this.draw();
        $("composer-text").focus();
      }, { class: "small" }))));
    this.changed();
  }
}

/** Show the pictures of a message; each opens in full. */
export function thumbnails(urls) {
  if (!urls?.length) return null;
  return h("ul", { class: "thumbnails" }, ...urls.map((url, index) => h("li", {},
    h("button", { type: "button", "aria-label": `Open picture ${index + 1}`, onclick: () => open(url, index) },
      h("img", { src: isPicture(url) ? url : "", alt: `Picture ${index + 1} of the message` })))));
}

/** Only pictures inside of the message are shown: the page loads nothing from elsewhere. */
const isPicture = (url) => typeof url === "string" && /^data:image\/(png|jpeg|webp|gif|bmp|avif);base64,/.test(url);

function open(url, index) {
  const dialog = h("dialog", { class: "picture", "aria-label": `Picture ${index + 1}` },
    h("button", { type: "button", class: "plain", "aria-label": "Close", onclick: () => dialog.close() }, icon("close")),
    h("img", { src: isPicture(url) ? url : "", alt: `Picture ${index + 1} of the message, in full` }));
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
