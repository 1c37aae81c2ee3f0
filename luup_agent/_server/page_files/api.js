// The server's API: the models, and answers as a stream of events.

import { settings } from "./settings.js";

function headers() {
  const { key } = settings();
  return { "Content-Type": "application/json", ...(key ? { Authorization: `Bearer ${key}` } : {}) };
}

export class Failure extends Error {
  constructor(message, status, code = null) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function failure(response) {
  let message = `the server answered with the status ${response.status}`;
  let code = null;
  try {
    const { error } = await response.json();
    message = error.message || message;
    ({ code } = error);
  } catch {
    // not an error of this server, such as one of a proxy
  }
  return new Failure(message, response.status, code);
}

/** Send a request with a JSON body, if there is one, and return the JSON of the response. */
export async function request(method, path, body, more = {}) {
  const response = await fetch(path, { method, headers: headers(), body: body && JSON.stringify(body), ...more });
  if (!response.ok) throw await failure(response);
  return response.json();
}

/** The models, and what the server can do beside answering. */
export async function models() {
  const { data, luup = {} } = await request("GET", "v1/models");
  return { data, ...luup };
}

/** Reply to a question of an MCP server: `action` is "accept", with the form as `content`, "decline" or "cancel". */
export async function replyTo(id, action, content) {
  return request("POST", `v1/questions/${encodeURIComponent(id)}`, { action, content });
}

/** Ask for an answer, and yield the data of each event until the end. */
export async function* answer(body, signal) {
  const response = await fetch("v1/chat/completions", {
    method: "POST",
    headers: headers(),
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  if (!response.ok) throw await failure(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let complete = false;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    rest += value;
    const events = rest.split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const line = event.split("\n").find((each) => each.startsWith("data: "));
      if (!line) continue;
      if (line === "data: [DONE]") {
        complete = true;
        continue;
      }
      const data = JSON.parse(line.slice(6));
      if (data.error) throw new Failure(data.error.message, 200, data.error.code);
      yield data;
    }
  }
  if (!complete) throw new Failure("the connection to the server was lost before the answer was complete", 0);
}
