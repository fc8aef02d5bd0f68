// Another vendor's provider for the tests: oidc-provider, which is certified by the OpenID Foundation, CIBA included.
// What is written here is only what a deployment of it has to say: who the client is, who the people are, and how a
// person is asked. It serves on loopback until its standard input ends.
//
//	node server.mjs CLIENT_ID CLIENT_SECRET
//
// It prints the issuer as its first line. For the tests, and of no standard:
//
//	GET  /test/waiting               [{"phone","binding_message","scope"}]
//	POST /test/answer?phone=…&answer=approve   or deny
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

import { Provider, errors } from 'oidc-provider';

const [clientId, clientSecret] = process.argv.slice(2);

// The same made-up people as those of the other provider beside this one.
const people = {
  4790000101: { sub: '2f6f5c1e-ase', name: 'Åse Ødegård', given_name: 'Åse', family_name: 'Ødegård', phone_number: '4790000101' },
  4790000102: { sub: '9b1d7a40-ola', name: 'Ola Nordmann', given_name: 'Ola', family_name: 'Nordmann', phone_number: '4790000102' },
};

const waiting = new Map(); // by phone number

const server = createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });

const provider = new Provider(issuer, {
  cookies: { keys: [randomBytes(32).toString('base64')] },
  jwks: { keys: [{ ...key, use: 'sig', alg: 'RS256', kid: 'otherciba-1' }] },
  clients: [{
    client_id: clientId,
    client_secret: clientSecret,
    redirect_uris: [],
    response_types: [],
    grant_types: ['urn:openid:params:grant-type:ciba'],
    backchannel_token_delivery_mode: 'poll',
    token_endpoint_auth_method: 'client_secret_basic',
  }],
  claims: {
    openid: ['sub'],
    name: ['name', 'given_name', 'family_name'],
    phoneNumber: ['phone_number'],
  },
  scopes: ['openid', 'name', 'phoneNumber'],
  findAccount: (ctx, sub) => {
    const person = Object.values(people).find((p) => p.sub === sub);
    return person && { accountId: sub, claims: () => person };
  },
  features: {
    devInteractions: { enabled: false },
    ciba: {
      enabled: true,
      deliveryModes: ['poll'],
      processLoginHint: (ctx, hint) => people[/^urn:msisdn:(\d+)$/.exec(hint)?.[1]]?.sub,
      verifyUserCode: () => {},
      validateRequestContext: () => {},
      validateBindingMessage: (ctx, message) => {
        if (message && !/^[A-Z0-9-]{5,8}$/.test(message)) {
          throw new errors.InvalidBindingMessage('the binding_message is not of five to eight characters');
        }
      },
      triggerAuthenticationDevice: (ctx, request, account) => {
        waiting.set(Object.keys(people).find((phone) => people[phone].sub === account.accountId), { request, message: ctx.oidc.params.binding_message });
      },
    },
  },
});

async function answer(phone, what) {
  const { request } = waiting.get(phone);
  waiting.delete(phone);
  if (what !== 'approve') {
    return provider.backchannelResult(request, new errors.AccessDenied('the person said no'));
  }
  const grant = new provider.Grant({ clientId: request.clientId, accountId: request.accountId });
  grant.addOIDCScope(request.scope);
  await grant.save();
  return provider.backchannelResult(request, grant);
}

const serve = provider.callback();
server.on('request', (req, res) => {
  const url = new URL(req.url, issuer);
  if (url.pathname === '/test/waiting') {
    res.setHeader('Content-Type', 'application/json');
    res.end(JSON.stringify([...waiting].map(([phone, w]) => ({ phone, binding_message: w.message, scope: w.request.scope }))));
  } else if (url.pathname === '/test/answer' && req.method === 'POST' && waiting.has(url.searchParams.get('phone'))) {
    answer(url.searchParams.get('phone'), url.searchParams.get('answer')).then(
      () => res.writeHead(204).end(),
      (err) => res.writeHead(500).end(String(err)),
    );
  } else {
    serve(req, res);
  }
});

process.stdin.resume().on('end', () => process.exit(0));
console.log(issuer);
