import type { Checkpoint } from '../src/agent-protocol/checkpoint.ts'
import type { DiskUsage } from '../src/agent-protocol/host.ts'
import { type TestDaemon, until } from '../test/support/daemon.ts'

const MAX_MS = 600_000

/** Asks for a checkpoint from the web; answers its id. */
export async function beginFetch(daemon: TestDaemon, name: string, url: string): Promise<string> {
  const { id } = await daemon.ok<Checkpoint>('POST', '/checkpoint', {
    name,
    source_type: 'web',
    source_uri: url,
  })
  return id
}

/** A checkpoint that did not fail. */
export async function findFetched(daemon: TestDaemon, id: string): Promise<Checkpoint> {
  const checkpoint = await daemon.ok<Checkpoint>('GET', `/checkpoint/${id}`)
  if (checkpoint.status === 'failed') throw new Error(`failed: ${JSON.stringify(checkpoint.error)}`)
  return checkpoint
}

export async function untilReady(daemon: TestDaemon, id: string): Promise<void> {
  await until(async () => (await findFetched(daemon, id)).status === 'ready', MAX_MS)
}

/**
 * Removes a checkpoint, also one that is being fetched, and waits until the store holds no more
 * than so many objects. What is stored already is not stored again: who found it would do less.
 */
export async function removeFetched(
  daemon: TestDaemon,
  id: string,
  objectsLeft: number,
): Promise<void> {
  await daemon.ok('DELETE', `/checkpoint/${id}?force=true`)
  await until(async () => {
    const { store } = await daemon.ok<DiskUsage>('GET', '/v1/df')
    return store.objects === objectsLeft && store.staging === 0
  }, MAX_MS)
}
