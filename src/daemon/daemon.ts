import { openStore } from '../cache/store.ts'
import { CkptdError } from '../model/errors.ts'
import { connectMountd } from '../mount/client.ts'
import { readBootId } from '../os/boot-id.ts'
import { createFetcher } from '../sources/fetcher.ts'
import { closeServer, createServer } from './api/server.ts'
import { openCheckpoints } from './checkpoints.ts'
import { keepOutputsClean } from './clean-outputs.ts'
import type { Config } from './config.ts'
import type { Context } from './context.ts'
import { openWorkerFinishes } from './finish-worker.ts'
import { openJobs } from './jobs.ts'
import { openSocket, removeSocket } from './listen.ts'
import { createLog } from './log.ts'
import { openWorkerMounts } from './mount-worker.ts'
import { passedSocket, serviceManager } from './notify.ts'
import { reconcileMounts } from './reconcile.ts'
import { openSealer } from './seal.ts'
import { singleFlight } from './single-flight.ts'
import { openTransfers } from './transfers.ts'
import { version } from './version.ts'

/** How long work under way gets when the daemon is asked to stop. */
const DRAIN_MS = 20_000

/** Runs the unprivileged daemon until `signal` is aborted. */
export async function runDaemon(config: Config, signal: AbortSignal): Promise<void> {
  const log = createLog(config, 'ckptd')
  const manager = serviceManager(process.env)
  const now = (): number => Date.now()
  const passedFd = passedSocket(process.env)
  const socketFd = passedFd ?? (await openSocket(config))
  const stopping = new AbortController()
  let state: 'starting' | 'running' | 'stopping' = 'starting'

  manager.notify('STATUS=recovering the store')
  await using store = openStore(
    config.data_dir,
    config.min_free_bytes === undefined ? {} : { minFreeBytes: config.min_free_bytes },
  )
  await store.recover((step) => log.info({ step }, 'recovering'))
  await using fetcher = createFetcher({ allowNetworks: config.allow_network })
  await using helper = connectMountd({ socketPath: `${config.runtime_dir}/mountd.sock`, log })

  const sealer = openSealer(store.layout.sealKey)
  const checkpoints = openCheckpoints(store, { sharing: config.sharing, now, log })
  const transfers = openTransfers({ store, checkpoints, fetcher, sealer, log, now })
  const jobs = openJobs(store, checkpoints, now)
  const shared = { store, checkpoints, jobs, helper, config, signal: stopping.signal, now, log }
  const bootId = readBootId()
  const finishes = openWorkerFinishes(shared)
  finishes.resumeUnmounted()
  const reconciled = reconcileWhenConnected(
    { store, helper, finishes, bootId, now, log },
    stopping.signal,
  )
  const mounts = openWorkerMounts({ ...shared, bootId, reconciled })
  const removals = singleFlight<void>()
  const context: Context = {
    config,
    version,
    log,
    now,
    store,
    helper,
    checkpoints,
    transfers,
    removals,
    jobs,
    mounts,
    finishes,
    state: () => state,
    stopping: stopping.signal,
  }
  transfers.resume()
  const cleaned = keepOutputsClean({ store, now, log }, stopping.signal)

  const server = await createServer(context)
  await server.ready()
  await new Promise<void>((resolve, reject) => {
    server.server.once('error', reject)
    server.server.listen({ fd: socketFd }, resolve)
  })
  state = 'running'
  log.info(
    { data_dir: config.data_dir, runtime_dir: config.runtime_dir, version },
    'ckptd is ready',
  )
  manager.notify('READY=1')
  const tellStatus = (): void => {
    const mounted = store.database.jobs.listWorkersIn('mounted').length
    manager.notify('WATCHDOG=1')
    manager.notify(`STATUS=${transfers.running} transfers, ${mounted} workers mounted`)
  }
  tellStatus()
  const tick = setInterval(tellStatus, manager.watchdogMs ?? 10_000)

  await aborted(signal)
  state = 'stopping'
  log.info('stopping')
  manager.notify('STOPPING=1')
  if (passedFd === undefined) removeSocket(config)
  stopping.abort(new CkptdError('unavailable', 'ckptd is stopping; ask again when it runs'))
  const drained = Promise.all([
    closeServer(server),
    transfers.stop(),
    mounts.settle(),
    finishes.settle(),
    removals.settle(),
    reconciled,
    cleaned,
  ])
  await Promise.race([drained, new Promise((resolve) => setTimeout(resolve, DRAIN_MS).unref())])
  clearInterval(tick)
  await store.database.flush()
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

async function reconcileWhenConnected(
  context: Parameters<typeof reconcileMounts>[0],
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted)
    try {
      await context.helper.untilAvailable(signal)
      return await reconcileMounts(context)
    } catch (error) {
      if (!signal.aborted)
        context.log.warn({ err: error }, 'reconciling mounts failed; it is tried again')
      await new Promise((resolve) => setTimeout(resolve, RECONCILE_RETRY_MS))
    }
}

/** How soon a failed comparison with the kernel's table is tried again. */
const RECONCILE_RETRY_MS = 500
