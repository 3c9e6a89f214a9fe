"use strict";
// Uploads in pieces (tus 1.0): what was interrupted goes on where it stopped, also after the page was closed.
// The head of each file is read here first, so that a wrong file is refused before it travels.
const PIECE = 8 * 2 ** 20;
const TUS = { "Tus-Resumable": "1.0.0" };
const drop = document.getElementById("drop");
const list = document.getElementById("uploads");
const done = [];

const make = (tag, className, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};
const readable = (bytes) => {
  let unit = 0;
  for (; bytes >= 1000 && unit < 4; unit++) bytes /= 1000;
  return `${Number(bytes.toPrecision(3))} ${["bytes", "kB", "MB", "GB", "TB"][unit]}`;
};
const visible = (name) => name.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (sign) => `\\u${sign.codePointAt(0).toString(16).padStart(4, "0")}`);

async function inspect(file) {
  const head = new DataView(await file.slice(0, 9).arrayBuffer());
  if (head.byteLength < 9) throw new Error("the file is empty or cut off");
  if (head.getUint32(0) === 0x504b0304) return inspectNpz(file);
  if (head.getUint8(8) === 0x7b) return inspectSafetensors(file, head);
  if (head.getUint16(0) === 0x8002 || (head.getUint8(0) === 0x80 && head.getUint8(1) < 6)) throw new Error("this is a pickle, which can run code when it is opened; save .npz or .safetensors");
  throw new Error("this is neither .npz nor .safetensors");
}

async function inspectSafetensors(file, head) {
  const length = Number(head.getBigUint64(0, true));
  if (length > 100e6 || length + 8 > file.size) throw new Error("the header does not fit into the file: it is damaged or cut off");
  const header = JSON.parse(await file.slice(8, 8 + length).text());
  const end = Math.max(0, ...Object.entries(header).filter(([name]) => name !== "__metadata__").map(([, array]) => array.data_offsets[1]));
  if (8 + length + end !== file.size) throw new Error("the file is cut off, or longer than its header says");
  const names = Object.keys(header).filter((name) => name !== "__metadata__");
  return described(names, header.labels && header.labels.shape[0]);
}

async function inspectNpz(file) {
  const start = Math.max(0, file.size - 65557);
  const tail = new DataView(await file.slice(start).arrayBuffer());
  let at = tail.byteLength - 22;
  while (at >= 0 && tail.getUint32(at, true) !== 0x06054b50) at--;
  if (at < 0) throw new Error("the end of the archive is missing: it is cut off");
  const size = tail.getUint32(at + 12, true), offset = tail.getUint32(at + 16, true);
  if (offset === 0xffffffff) return described(null);  // more than 4 GB: the service looks closer
  const directory = new DataView(await file.slice(offset, offset + size).arrayBuffer());
  const names = [];
  for (let entry = 0; entry + 46 <= directory.byteLength && directory.getUint32(entry, true) === 0x02014b50;) {
    const length = directory.getUint16(entry + 28, true);
    names.push(new TextDecoder().decode(new Uint8Array(directory.buffer, entry + 46, length)).replace(/\.npy$/, ""));
    entry += 46 + length + directory.getUint16(entry + 30, true) + directory.getUint16(entry + 32, true);
  }
  return described(names);
}

function described(names, rows) {
  if (names === null) return "a large archive";
  if (!names.includes("labels")) throw new Error("there is no array `labels` in it");
  const layers = names.filter((name) => name !== "labels" && name !== "layers");
  if (!layers.length) throw new Error("there is no layer in it beside `labels`");
  const shown = layers.slice(0, 6).map(visible).join(", ") + (layers.length > 6 ? ", …" : "");
  return `${rows === undefined ? "" : `${rows.toLocaleString("en")} rows, `}${layers.length} ${layers.length === 1 ? "layer" : "layers"}: ${shown}`;
}

const role = (name) => {
  const untrained = /untrained|init/i.test(name) ? "untrained" : "trained";
  return `${untrained}-${/val|test|held/i.test(name) ? "validation" : "train"}`;
};
const encoded = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

async function begin(file) {
  const remembered = `upload:${file.name}:${file.size}:${file.lastModified}`;
  const known = localStorage.getItem(remembered);
  if (known) {
    const answer = await fetch(known, { method: "HEAD", headers: TUS }).catch(() => null);
    if (answer && answer.ok) return { remembered, address: known, offset: Number(answer.headers.get("Upload-Offset")), artifact: answer.headers.get("Interlayer-Artifact") };
  }
  const answer = await fetch("/v1/uploads", { method: "POST", headers: { ...TUS, "Upload-Length": file.size, "Upload-Metadata": `filename ${encoded(file.name)}` } });
  if (!answer.ok) throw new Error(await told(answer));
  const address = answer.headers.get("Location");
  localStorage.setItem(remembered, address);
  return { remembered, address, offset: 0, artifact: null };
}

async function told(answer) {
  const problem = await answer.json().catch(() => ({}));
  return problem.detail || `the service answered ${answer.status}`;
}

async function send(file, onProgress, paused) {
  const upload = await begin(file);
  let failures = 0;
  while (!upload.artifact) {
    onProgress(upload.offset / file.size);
    if (paused()) return null;
    let answer = await fetch(upload.address, {
      method: "PATCH", body: file.slice(upload.offset, upload.offset + PIECE),
      headers: { ...TUS, "Upload-Offset": upload.offset, "Content-Type": "application/offset+octet-stream" },
    }).catch(() => null);
    if (answer && !answer.ok && ![409, 423, 429, 503].includes(answer.status)) { localStorage.removeItem(upload.remembered); throw new Error(await told(answer)); }
    if (!answer || !answer.ok) {  // the line was cut, or somebody else writes: learn how much has arrived
      if (++failures > 6) throw new Error("the connection keeps failing; choose the same file again to go on where it stopped");
      await new Promise((resolve) => setTimeout(resolve, 400 * 2 ** failures));
      answer = await fetch(upload.address, { method: "HEAD", headers: TUS }).catch(() => null);
      if (!answer || !answer.ok) continue;
    } else failures = 0;
    upload.offset = Number(answer.headers.get("Upload-Offset"));
    upload.artifact = answer.headers.get("Interlayer-Artifact");
  }
  localStorage.removeItem(upload.remembered);
  onProgress(1);
  return upload.artifact;
}

async function take(file) {
  const item = make("li");
  const name = make("bdi", "", visible(file.name));
  const bar = Object.assign(make("progress"), { max: 1, value: 0 });
  bar.setAttribute("aria-label", `Upload of ${visible(file.name)}`);
  const line = make("p", "told", "reading the head of the file…");
  item.append(name, bar, line);
  list.append(item);
  const refuse = (message) => { item.className = "bad"; bar.remove(); line.textContent = `✖ Not uploaded: ${message}.`; };
  let content;
  try {
    if (file.size > Number(drop.dataset.most)) throw new Error(`it is larger than the limit of ${readable(Number(drop.dataset.most))}`);
    content = await inspect(file);
  } catch (error) { refuse(error.message); return; }
  let stopped = false;
  const stop = make("button", "link", "Pause");
  stop.type = "button";
  const run = async () => {
    stopped = false;
    try {
      const artifact = await send(file, (share) => { bar.value = share; line.textContent = `${readable(share * file.size)} of ${readable(file.size)} · ${content}`; }, () => stopped);
      if (artifact === null) return;
      stop.remove();
      line.textContent = `● Uploaded, ${readable(file.size)} · ${content}`;
      done.push(`${artifact}@${role(file.name)}`);
      const onward = document.getElementById("onward");
      onward.hidden = false;
      onward.querySelector("a").href = `/analyses/new?${done.map((id) => `file=${encodeURIComponent(id)}`).join("&")}`;
    } catch (error) { stop.remove(); refuse(error.message); }
  };
  stop.addEventListener("click", () => {
    stopped = !stopped;
    stop.textContent = stopped ? "Go on" : "Pause";
    if (!stopped) run();
  });
  line.after(stop);
  await run();
}

async function takeAll(files) {
  for (const file of files) await take(file);
}

if (drop) {
  const form = drop.querySelector("form");
  const input = form.querySelector("input");
  input.multiple = true;
  for (const node of drop.querySelectorAll(".scripted")) node.hidden = false;
  form.querySelector("button").hidden = true;
  input.addEventListener("change", () => { takeAll([...input.files]); input.value = ""; });
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const kind of ["dragover", "dragenter"]) drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("over"); takeAll([...event.dataTransfer.files]); });
}
