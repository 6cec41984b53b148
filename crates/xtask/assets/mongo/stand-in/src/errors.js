// Errors as MongoDB's drivers know them: a code, its name and a message.
const NAMES = {
  2: 'BadValue',
  9: 'FailedToParse',
  11: 'UserNotFound',
  13: 'Unauthorized',
  14: 'TypeMismatch',
  18: 'AuthenticationFailed',
  20: 'IllegalOperation',
  26: 'NamespaceNotFound',
  27: 'IndexNotFound',
  43: 'CursorNotFound',
  48: 'NamespaceExists',
  59: 'CommandNotFound',
  66: 'ImmutableField',
  67: 'CannotCreateIndex',
  73: 'InvalidNamespace',
  76: 'NoReplicationEnabled',
  85: 'IndexOptionsConflict',
  115: 'CommandNotSupported',
  11000: 'DuplicateKey',
  40324: 'Location40324',
  51003: 'Location51003',
};

/** A failed command or write. */
export class CommandError extends Error {
  constructor(code, message, details = {}) {
    super(message);
    this.code = code;
    this.details = details;
  }

  /** As the reply of a failed command. */
  reply() {
    return { ok: 0, errmsg: this.message, code: this.code, codeName: NAMES[this.code], ...this.details };
  }

  /** As one entry of `writeErrors`. */
  writeError(index) {
    return { index, code: this.code, errmsg: this.message, ...this.details };
  }
}

/** Refuses what a real server can do and this one cannot, by name. */
export const unsupported = (what) => new CommandError(115, `${what} is not supported by this stand-in for MongoDB`);

/** Any error as a CommandError; what mingo throws is about the query's content. */
export function asCommandError(error) {
  if (error instanceof CommandError) return error;
  const codes = [[/pipeline operator/i, 40324], [/immutable field/, 66]];
  const [, code] = codes.find(([pattern]) => pattern.test(error.message)) ?? [undefined, 2];
  return new CommandError(code, error.message);
}
