// A peer on Node's tls. tests/peers/program_peer.py has the arguments and the output.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { constants } from "node:crypto";
import net from "node:net";
import tls from "node:tls";

const TIMEOUT = 60_000; // milliseconds
const CLOSE_NOTIFY = 0;

const ALERTS = {
  unexpected_message: 10, bad_record_mac: 20, record_overflow: 22, handshake_failure: 40,
  bad_certificate: 42, unsupported_certificate: 43, certificate_revoked: 44,
  certificate_expired: 45, certificate_unknown: 46, illegal_parameter: 47, unknown_ca: 48,
  access_denied: 49, decode_error: 50, decrypt_error: 51, protocol_version: 70,
  insufficient_security: 71, internal_error: 80, missing_extension: 109,
  unsupported_extension: 110, unrecognized_name: 112, certificate_required: 116,
  no_application_protocol: 120,
};

const part = Object.fromEntries(
  process.argv.slice(2).map((argument) => {
    const equals = argument.indexOf("=");
    return [argument.slice(0, equals), argument.slice(equals + 1)];
  }),
);
const echo = Number(part.echo ?? 0);
const staple = part.staple && readFileSync(part.staple);
const connections = Number(part.connections ?? 1);

const options = {
  cert: part.cert && readFileSync(part.cert),
  key: part.key && readFileSync(part.key),
  ca: part.trust && readFileSync(part.trust),
  ecdhCurve: part.group ?? "auto", // as OpenSSL has it
  maxVersion: part.tls12_only ? "TLSv1.2" : "TLSv1.3",
  secureOptions: part.session_ids ? constants.SSL_OP_NO_TICKET : undefined,
  ALPNProtocols: part.alpn?.split(","),
  requestOCSP: Boolean(staple),
  allowHalfOpen: true,
};

function report(alert, resumed = "", exported = "", story = "") {
  const line = JSON.stringify(String(story));
  console.log(`saw alert=${alert} resumed=${resumed} exported=${exported} story=${line}`);
}

// OpenSSL's name for an alert that came, such as ERR_SSL_TLSV1_ALERT_UNKNOWN_CA.
function alertOf(error) {
  const name = String(error.code ?? "").toLowerCase().replace(/^err_ssl_\w*?alert_/, "");
  return ALERTS[name] ?? -1;
}

async function converse(socket) {
  const chunks = [];
  let length = 0;
  const input = socket.iterator({ destroyOnReturn: false });
  while (length < echo) {
    const { value, done } = await input.next();
    if (done) {
      throw new Error("the end came before the data");
    }
    length += value.length;
    if (part.streams) {
      await new Promise((resolve) => socket.write(value, resolve));
    } else {
      chunks.push(value);
    }
  }
  await new Promise((resolve) => socket.write(Buffer.concat(chunks), resolve));
  if (part.leaves) {
    socket.destroy(); // without close_notify
    return;
  }
  if (part.closes_first) {
    socket.end();
  }
  const rest = await input.next();
  if (!rest.done) {
    throw new Error("got data instead of the end");
  }
  socket.end();
  if (!socket.destroyed) {
    await once(socket, "close"); // then close_notify has left
  }
}

async function play(socket, handshake) {
  socket.setTimeout(TIMEOUT, () => socket.destroy(new Error("timeout")));
  let resumed = "";
  try {
    await handshake;
    resumed = socket.isSessionReused();
    const exported = part.exports
      ? socket.exportKeyingMaterial(Number(part.exported_length), part.exports).toString("hex")
      : "";
    await converse(socket);
    report(CLOSE_NOTIFY, resumed, exported);
  } catch (error) {
    report(alertOf(error), resumed, "", error);
  } finally {
    socket.destroy();
  }
}

async function call() {
  let session;
  for (let i = 0; i < connections; i++) {
    const servername = part.name;
    const socket = tls.connect({ ...options, host: "127.0.0.1", port: part.port, servername, session });
    socket.on("session", (received) => (session = received));
    const response = staple && once(socket, "OCSPResponse");
    const handshake = once(socket, "secureConnect").then(() => response).then((received) => {
      if (staple && !staple.equals(received[0] ?? "")) {
        throw new Error("got another OCSP response");
      }
    });
    await play(socket, handshake);
  }
}

async function serve() {
  const context = { ...options, requestCert: Boolean(part.trust) };
  const secure = tls.createServer(context);
  const listener = net.createServer({ allowHalfOpen: true });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  console.log(`port ${listener.address().port}`);
  let played = 0;
  const done = new Promise((resolve) => {
    const finish = () => {
      played += 1;
      if (played === connections) {
        resolve();
      }
    };
    secure.on("secureConnection", (socket) => play(socket, Promise.resolve()).then(finish));
    secure.on("OCSPRequest", (certificate, issuer, answer) => answer(null, staple));
    secure.on("tlsClientError", (error) => {
      report(alertOf(error), "", "", error);
      finish();
    });
  });
  listener.on("connection", (transport) => secure.emit("connection", transport));
  await done;
  listener.close();
}

await (part.role === "client" ? call() : serve());
