// Users and how they prove who they are. Roles are kept and shown; whoever is authenticated may do everything.
import { Binary } from 'bson';
import { CommandError } from '../errors.js';
import { MECHANISM, Server, credentials } from '../scram.js';
import { keyOf } from '../values.js';

const USERS = 'admin.system.users';

const idOf = (database, user) => `${database}.${user}`;
const find = (store, database, user) => store.find(USERS)?.get(idOf(database, user));

export function addUser(store, database, user, password, roles) {
  if (typeof user !== 'string' || typeof password !== 'string') {
    throw new CommandError(2, 'a user needs a name and a password');
  }
  const record = { _id: idOf(database, user), user, db: database, roles };
  store.put(USERS, { ...record, credentials: { [MECHANISM]: credentials(password) } });
}

/** `saslSupportedMechs` of a hello that asks for "database.user". */
export function mechanismsOf(store, asked) {
  if (typeof asked !== 'string') return {};
  const [database, ...user] = asked.split('.');
  return find(store, database, user.join('.')) ? { saslSupportedMechs: [MECHANISM] } : {};
}

const failed = () => new CommandError(18, 'Authentication failed.');
const text = (payload) => (payload instanceof Binary ? Buffer.from(payload.buffer).toString() : String(payload));
const step = (payload, done) => ({ conversationId: 1, done, payload: new Binary(Buffer.from(payload)), ok: 1 });

function saslStart({ mechanism, payload, options }, { connection, database, store }) {
  if (mechanism !== MECHANISM) {
    throw new CommandError(18, `the authentication mechanism ${mechanism} is not supported by this stand-in`);
  }
  const scram = new Server((user) => find(store, database, user)?.credentials[MECHANISM]);
  connection.conversation = { scram, database, short: options?.skipEmptyExchange === true };
  return step(scram.first(text(payload)), false);
}

function saslContinue({ payload }, { connection }) {
  const { scram, database, short, proven } = connection.conversation ?? {};
  if (!scram) throw failed();
  if (proven) {
    connection.conversation = undefined;
    return step('', true);
  }
  const last = scram.final(text(payload));
  connection.conversation = last !== undefined && !short ? { ...connection.conversation, proven: true } : undefined;
  if (last === undefined) throw failed();
  connection.user = { user: scram.user, db: database };
  return step(last, short);
}

function createUser({ createUser: user, pwd, roles = [] }, { database, store }) {
  if (find(store, database, user)) throw new CommandError(51003, `User "${user}@${database}" already exists`);
  addUser(store, database, user, pwd, roles);
  return { ok: 1 };
}

function updateUser({ updateUser: user, pwd, roles }, { database, store }) {
  const old = known(store, database, user);
  const renewed = pwd === undefined ? old.credentials : { [MECHANISM]: credentials(pwd) };
  store.put(USERS, { ...old, roles: roles ?? old.roles, credentials: renewed });
  return { ok: 1 };
}

function dropUser({ dropUser: user }, { database, store }) {
  store.delete(USERS, known(store, database, user)._id);
  return { ok: 1 };
}

function usersInfo({ usersInfo: asked }, { database, store }) {
  const wanted = [asked].flat().map((one) => (typeof one === 'string' ? { user: one, db: database } : one));
  const isWanted = (record) =>
    asked === 1 ? record.db === database : wanted.some((one) => keyOf(idOf(one.db, one.user)) === keyOf(record._id));
  const users = store.documents(USERS).filter(isWanted);
  return { users: users.map(({ credentials: kept, ...user }) => ({ ...user, mechanisms: Object.keys(kept) })), ok: 1 };
}

function known(store, database, user) {
  const record = find(store, database, user);
  if (!record) throw new CommandError(11, `Could not find user "${user}" for db "${database}"`);
  return record;
}

function logout(_command, { connection }) {
  connection.user = undefined;
  return { ok: 1 };
}

export default { saslStart, saslContinue, createUser, updateUser, dropUser, usersInfo, logout };
