import { existsSync } from 'node:fs'
import type { Clock } from '../io.ts'
import { type ChildCommand, startChild } from './child.ts'
import {
  type ContainerHandle,
  readContainerId,
  signalContainer,
  untilContainerGone,
} from './container-end.ts'

export interface WorkerCommand extends ChildCommand {
  /** Absent where the command is no container of a known runtime. */
  readonly container?: ContainerHandle
}

export interface WorkerEnd {
  readonly status: number
  /** False where nothing can have been written to the output. */
  readonly ran: boolean
  /** Why it did not even start. */
  readonly problem?: string
}

export interface WorkerProcess {
  /** Resolves when the command has ended and its container is gone. */
  readonly ended: Promise<WorkerEnd>
  signal(signal: NodeJS.Signals): void
}

/** A runtime's client that ends so soon after a signal ended because of it. */
const UNHEARD_MS = 5_000

/** `onWait` is told, in a sentence, why it is not over although the command has ended. */
export function startWorker(
  command: WorkerCommand,
  clock: Clock,
  onWait: (why: string) => void,
): WorkerProcess {
  const { container } = command
  // The runtime refuses to start with a file that is there already; its id is another's.
  const staleId = container !== undefined && existsSync(container.cidfile)
  const child = startChild(command)
  let orphan: { readonly runtime: readonly string[]; readonly id: string } | undefined
  let last: { readonly signal: NodeJS.Signals; readonly atMs: number } | undefined

  const signalOrphan = (signal: NodeJS.Signals): void => {
    if (orphan === undefined) return
    signalContainer(orphan.runtime, orphan.id, signal).catch((error: unknown) =>
      onWait(`${signal} did not reach the container: ${String(error)}`),
    )
  }

  const end = async (): Promise<WorkerEnd> => {
    const { status, notStarted } = await child.exited
    // A client that ends upon a signal may have done so instead of passing it on: podman does,
    // with a status of its own, until its container has been running for a moment.
    const unheard =
      last !== undefined && clock.now() - last.atMs < UNHEARD_MS ? last.signal : undefined
    if (notStarted !== undefined) return { status, ran: false, problem: notStarted }
    if (container === undefined) return { status, ran: true }
    const id = staleId ? undefined : await readContainerId(container.cidfile)
    if (id === undefined) return { status, ran: status === 0 }
    orphan = { runtime: container.runtime, id }
    const gone = await untilContainerGone(container.runtime, id, {
      clock,
      onOutlived() {
        onWait(`the container ${id.slice(0, 12)} still runs; waiting for its end`)
        if (unheard !== undefined) signalOrphan(unheard)
      },
      onUnknown: (why) => onWait(`the runtime does not tell whether the container ended: ${why}`),
    })
    // The client's own end says nothing about a container that went on without it.
    return { status: gone.outlived ? (gone.status ?? status) : status, ran: true }
  }

  return {
    ended: end(),
    signal(signal) {
      last = { signal, atMs: clock.now() }
      if (!child.kill(signal)) signalOrphan(signal)
    },
  }
}
