// A certified OpenID Connect provider for tests: oidc-provider, with its own forms, three people and one client.
// HTTP_ADDR says where it listens; CLIENT_ID, CLIENT_SECRET and REDIRECT_URI who may use it. Each start has a new key of ALG.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import Provider from 'oidc-provider';

const { HTTP_ADDR, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, ALG = 'RS256', IN_TOKEN } = process.env;
const groups = { grace: ['everybody', 'mail-ops'], desk: ['mail-desk'], eve: ['everybody'] };
const { privateKey } = ALG === 'ES256'
  ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
  : generateKeyPairSync('rsa', { modulusLength: 2048 });

const provider = new Provider(`http://${HTTP_ADDR}`, {
  clients: [{
    client_id: CLIENT_ID,
    client_secret: CLIENT_SECRET,
    redirect_uris: [REDIRECT_URI],
    id_token_signed_response_alg: ALG,
  }],
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: ALG }] },
  cookies: { keys: [randomUUID()] },
  enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256'] },
  pkce: { required: () => true },
  scopes: ['openid', 'profile', 'groups'],
  claims: { profile: ['preferred_username'], groups: ['groups'] },
  // Else claims are told at the user info endpoint alone.
  conformIdTokenClaims: !IN_TOKEN,
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: `${id}@corp`, groups: groups[id] ?? [] }),
  }),
});
const [host, port] = HTTP_ADDR.split(':');
provider.listen(Number(port), host, () => console.log('the provider listens'));
