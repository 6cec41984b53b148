// SCRAM-SHA-256 (RFC 7677), both sides: the server's, and the client's for the small shell.
import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto';

export const MECHANISM = 'SCRAM-SHA-256';
const ITERATIONS = 15_000;

const hmac = (key, text) => createHmac('sha256', key).update(text).digest();
const sha256 = (bytes) => createHash('sha256').update(bytes).digest();
const xor = (a, b) => Buffer.from(a.map((byte, at) => byte ^ b[at]));
const fields = (text) => Object.fromEntries(text.split(',').map((part) => [part[0], part.slice(2)]));
const escape = (name) => name.replaceAll('=', '=3D').replaceAll(',', '=2C');
const unescape = (name) => name.replaceAll('=2C', ',').replaceAll('=3D', '=');

function keys(password, salt, iterations) {
  const salted = pbkdf2Sync(password.normalize('NFKC'), salt, iterations, 32, 'sha256');
  const clientKey = hmac(salted, 'Client Key');
  return { clientKey, storedKey: sha256(clientKey), serverKey: hmac(salted, 'Server Key') };
}

/** What a server keeps of a password. */
export function credentials(password) {
  const salt = randomBytes(28);
  const { storedKey, serverKey } = keys(password, salt, ITERATIONS);
  const text = (bytes) => bytes.toString('base64');
  return { iterationCount: ITERATIONS, salt: text(salt), storedKey: text(storedKey), serverKey: text(serverKey) };
}

/** The server's side of one conversation; `find(user)` gives the credentials or undefined. */
export class Server {
  constructor(find) {
    this.find = find;
  }

  first(message) {
    const bare = message.slice(message.indexOf(',', message.indexOf(',') + 1) + 1);
    const { n: name, r: nonce } = fields(bare);
    this.user = unescape(name ?? '');
    // An unknown user gets a challenge, too, so that an answer does not tell who exists.
    const stored = this.find(this.user);
    this.known = stored !== undefined;
    this.credentials = stored ?? credentials(randomBytes(16).toString('hex'));
    this.nonce = nonce + randomBytes(18).toString('base64');
    const reply = `r=${this.nonce},s=${this.credentials.salt},i=${this.credentials.iterationCount}`;
    this.exchanged = `${bare},${reply}`;
    return reply;
  }

  /** The last message, or undefined when the proof is wrong. */
  final(message) {
    const withoutProof = message.slice(0, message.lastIndexOf(',p='));
    const { r: nonce, p: proof } = fields(message);
    const transcript = `${this.exchanged},${withoutProof}`;
    const storedKey = Buffer.from(this.credentials.storedKey, 'base64');
    const given = Buffer.from(proof ?? '', 'base64');
    if (nonce !== this.nonce || given.length !== storedKey.length || !this.known) return undefined;
    const clientKey = xor(given, hmac(storedKey, transcript));
    if (!timingSafeEqual(sha256(clientKey), storedKey)) return undefined;
    return `v=${hmac(Buffer.from(this.credentials.serverKey, 'base64'), transcript).toString('base64')}`;
  }
}

/** The client's side. */
export class Client {
  constructor(user, password) {
    this.password = password;
    this.bare = `n=${escape(user)},r=${randomBytes(18).toString('base64')}`;
  }

  first() {
    return `n,,${this.bare}`;
  }

  final(challenge) {
    const { r: nonce, s: salt, i: iterations } = fields(challenge);
    const { clientKey, storedKey } = keys(this.password, Buffer.from(salt, 'base64'), Number(iterations));
    const withoutProof = `c=biws,r=${nonce}`;
    const signature = hmac(storedKey, `${this.bare},${challenge},${withoutProof}`);
    return `${withoutProof},p=${xor(clientKey, signature).toString('base64')}`;
  }
}
