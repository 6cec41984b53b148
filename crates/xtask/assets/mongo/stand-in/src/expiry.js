// Documents that an index with `expireAfterSeconds` lets expire.

/** Deletes what has expired by now. */
export function sweep(store, now = Date.now()) {
  for (const [namespace, { indexes, documents }] of store.collections) {
    for (const { spec } of indexes.values()) {
      if (spec.expireAfterSeconds === undefined) continue;
      const [path] = Object.keys(spec.key);
      for (const document of [...documents.values()]) {
        const times = [document[path]].flat().filter((value) => value instanceof Date);
        const earliest = Math.min(...times.map(Number));
        if (times.length > 0 && earliest + spec.expireAfterSeconds * 1000 <= now) store.delete(namespace, document._id);
      }
    }
  }
}
