import type { Store } from '../../../src/cache/store.ts'
import type { CheckpointId } from '../../../src/model/ids.ts'

/** The absolute path of a ready checkpoint's live view, built where there is none. */
export async function viewPath(store: Store, id: CheckpointId): Promise<string> {
  const view = await store.views.ensure(manifestOf(store, id))
  return store.layout.view(view.domain, `${view.digest}.${view.generation}`)
}

/** The manifest of a ready checkpoint. */
export function manifestOf(store: Store, id: CheckpointId): number {
  const manifestId = store.database.checkpoints.find(id)?.manifest_id
  if (manifestId === undefined || manifestId === null) throw new Error(`${id} is not ready`)
  return manifestId
}
