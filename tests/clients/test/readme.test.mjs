// The JavaScript of the README, run as it stands.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { Belfry } from "../belfry.mjs";

const readme = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");

test("the README's SignalR client", async (t) => {
  const belfry = await Belfry.start(t);
  const blocks = [...readme.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code]) => code);
  assert.equal(blocks.length, 1);
  // Beside the packages it imports; only the address is another.
  const file = fileURLToPath(new URL("../readme-snippet.mjs", import.meta.url));
  await writeFile(file, blocks[0].replace("http://127.0.0.1:8080", belfry.url));
  t.after(() => rm(file));
  const client = spawn(process.execPath, [file], { env: { ...process.env, TOKEN: belfry.token }, stdio: ["ignore", "pipe", "inherit"] });
  t.after(async () => {
    client.kill();
    await once(client, "exit");
  });
  let said = "";
  client.stdout.setEncoding("utf8").on("data", (text) => (said += text));
  // It says nothing when it has subscribed; so there is an event until it shows one.
  for (let n = 0; !said.includes("portos.resources.changed"); n++) {
    await belfry.post({ subject: `${n}`, data: { number: "2026-0042" } });
    await Promise.race([once(client.stdout, "data"), new Promise((resolve) => setTimeout(resolve, 200))]);
  }
  assert.match(said, /portos\.resources\.changed \{[^]*n: 'invoices',\s+a: 1,[^]*\}/);
});
