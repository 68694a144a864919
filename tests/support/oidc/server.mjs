// A real OpenID provider (npm `oidc-provider`, certified) for tests, on loopback. It reads its settings as one JSON
// object from OIDC_SETTINGS, and listens on 127.0.0.1:OIDC_PORT:
//   clients    metadata as in OpenID Dynamic Client Registration: client_id, client_secret, redirect_uris, …
//   accounts   login name → claims (email, email_verified, name, …). Any password will do at the login page
//   resources  audience → algorithm of the access tokens (JWTs) made for it; a client asks with `resource=AUDIENCE`
//   access     names of an account's claims that its access tokens carry
//
// For tests alone:
//   GET  /test/counts                       how often each path was asked for
//   PUT  /test/keys ["b-ES256", "a-ES256"]  the keys published from now on, by names that end in their algorithm; the
//                                           first of an algorithm signs. A name is the same key whenever it is used

import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import Provider from "oidc-provider";

const settings = { clients: [], accounts: {}, resources: {}, access: [], ...JSON.parse(process.env.OIDC_SETTINGS) };
const port = Number(process.env.OIDC_PORT);
const issuer = `http://127.0.0.1:${port}`;
const KINDS = {
  RS256: ["rsa", { modulusLength: 2048 }],
  ES256: ["ec", { namedCurve: "P-256" }],
  EdDSA: ["ed25519", {}],
};
const made = new Map();
const counts = {};

function key(name) {
  if (!made.has(name)) {
    const alg = name.split("-").at(-1);
    const jwk = generateKeyPairSync(...KINDS[alg]).privateKey.export({ format: "jwk" });
    made.set(name, { ...jwk, kid: name, alg, use: "sig" });
  }
  return made.get(name);
}

const claimsOf = (id) => settings.accounts[id] ?? {};

async function findAccount(_, id) {
  const known = Object.hasOwn(settings.accounts, id);
  return known ? { accountId: id, claims: async () => ({ sub: id, ...claimsOf(id) }) } : undefined;
}

function provider(names) {
  const own = new Provider(issuer, {
    clients: settings.clients,
    jwks: { keys: names.map(key) },
    cookies: { keys: ["only for tests"] },
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
    conformIdTokenClaims: false, // as Google does: what the scopes allow stands in the ID token
    findAccount,
    enabledJWA: { idTokenSigningAlgValues: ["RS256", "ES256", "EdDSA"] },
    ttl: { AccessToken: 3600, AuthorizationCode: 60, Grant: 86400, IdToken: 3600, Interaction: 3600, Session: 86400 },
    extraTokenClaims: async (_, token) => Object.fromEntries(
      settings.access.filter((name) => name in claimsOf(token.accountId)).map((name) => [name, claimsOf(token.accountId)[name]]),
    ),
    features: {
      devInteractions: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: async () => undefined,
        useGrantedResource: async () => true,
        getResourceServerInfo: async (_, audience) => ({
          scope: "openid push",
          audience,
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: settings.resources[audience] } },
        }),
      },
    },
  });
  return own.callback();
}

let answer = provider(["first-RS256", "first-ES256", "first-EdDSA"]);

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return JSON.parse(Buffer.concat(parts).toString());
}

const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, issuer);
  counts[pathname] = (counts[pathname] ?? 0) + 1;
  if (pathname === "/test/counts") return response.end(JSON.stringify(counts));
  if (pathname === "/test/keys") {
    answer = provider(await body(request)); // what the old one stored stays: the library keeps it for the process
    return response.end("{}");
  }
  return answer(request, response);
});
server.listen(port, "127.0.0.1");
