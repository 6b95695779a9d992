// A site that reads config.json, and gives browsers config.js.
const { createServer } = require("node:http");
const { readFileSync } = require("node:fs");
const { join } = require("node:path");

const text = readFileSync(join(__dirname, "config.json"), "utf8");
const config = JSON.parse(text.replace(/^\s*\/\/.*$/gm, ""));

createServer(async (request, response) => {
  if (request.url === "/config.js") {
    response.end(readFileSync(join(__dirname, "config.js")));
    return;
  }
  const answer = await fetch(config.api.url + request.url);
  response.end(`${config.title}: ${await answer.text()}`);
}).listen(config.server.port, "localhost");
