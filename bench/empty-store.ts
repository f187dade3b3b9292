import type { Store } from '../src/cache/store.ts'
import type { CheckpointId } from '../src/model/ids.ts'

/**
 * Removes the one checkpoint of a store with its bytes. What is stored already is not stored
 * again: a run that found it would do less.
 */
export async function emptyStore(store: Store, id: CheckpointId): Promise<void> {
  store.database.checkpoints.setStatus(id, 'removing')
  await store.removal.finish(id)
  const { objects } = store.database.usage.getStore()
  if (objects > 0) throw new Error(`the store still holds ${objects} objects`)
}
