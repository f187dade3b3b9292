import { setPriority } from 'node:os'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type MessagePort, parentPort, Worker } from 'node:worker_threads'
import { CkptdError, type ErrorRecord, fromErrorRecord, toErrorRecord } from '../model/errors.ts'

/**
 * Calls across threads. Bytes never cross: they stay in files; what crosses are small
 * structured messages. Both sides may call the other: a thread exports handlers and gets a
 * `Caller` for those of its parent.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- a handler's arguments are its own
export type Handlers = Record<string, (...args: any[]) => unknown>

/** The remote side of a set of handlers: the same functions, each answering with a promise. */
export type Remote<H extends Handlers> = {
  readonly [K in keyof H]: (...args: Parameters<H[K]>) => Promise<Awaited<ReturnType<H[K]>>>
}

type Message =
  | { kind: 'call'; id: number; name: string; args: unknown[] }
  | { kind: 'result'; id: number; value: unknown }
  | { kind: 'error'; id: number; error: ErrorRecord }
  | { kind: 'ready' }
  | { kind: 'stop' }

interface Pending {
  resolve(value: unknown): void
  reject(error: Error): void
}

class Channel {
  #nextId = 1
  #pending = new Map<number, Pending>()
  #closed: Error | undefined
  readonly #send: (message: Message) => void
  readonly #handlers: Handlers
  readonly remote: Remote<Handlers>

  constructor(send: (message: Message) => void, handlers: Handlers) {
    this.#send = send
    this.#handlers = handlers
    this.remote = new Proxy<Remote<Handlers>>(
      {},
      {
        get: (_, name) =>
          typeof name === 'string' && name !== 'then' ? this.#caller(name) : undefined,
      },
    )
  }

  #caller(name: string) {
    return (...args: unknown[]): Promise<unknown> => {
      if (this.#closed !== undefined) return Promise.reject(this.#closed)
      const id = this.#nextId++
      return new Promise((resolve, reject) => {
        this.#pending.set(id, { resolve, reject })
        this.#send({ kind: 'call', id, name, args })
      })
    }
  }

  async receive(message: Message): Promise<void> {
    // In a thread this ends the thread alone, and between two pieces of its work: a thread that
    // is terminated while it loads a native module takes the whole process with it.
    if (message.kind === 'stop') process.exit(0)
    if (message.kind === 'ready') return
    if (message.kind === 'call') {
      try {
        const handler = this.#handlers[message.name]
        if (handler === undefined) throw new Error(`no handler "${message.name}"`)
        this.#send({ kind: 'result', id: message.id, value: await handler(...message.args) })
      } catch (error) {
        this.#send({ kind: 'error', id: message.id, error: toErrorRecord(error) })
      }
      return
    }
    const pending = this.#pending.get(message.id)
    this.#pending.delete(message.id)
    if (message.kind === 'result') pending?.resolve(message.value)
    else pending?.reject(fromErrorRecord(message.error))
  }

  close(error: Error): void {
    this.#closed = error
    for (const pending of this.#pending.values()) pending.reject(error)
    this.#pending.clear()
  }
}

export interface Thread<H extends Handlers> extends AsyncDisposable {
  readonly remote: Remote<H>
}

/** The address of a module beside this one, in the source tree (.ts) and in dist (.js) alike. */
export function siblingModule(importMetaUrl: string, name: string): URL {
  return new URL(`./${name}${extname(fileURLToPath(importMetaUrl))}`, importMetaUrl)
}

/**
 * Starts a thread. `handlers` are what it may call back. When it dies on its own, every call
 * under way fails and `onDeath` is told: a thread that dies is a programmer's error.
 */
export function startThread<H extends Handlers>(
  module: URL,
  options: { name: string; handlers?: Handlers; data?: unknown; onDeath?: (error: Error) => void },
): Thread<H> {
  let worker: Worker | undefined
  let ending = false
  const early: Message[] = []
  const send = (message: Message): void => {
    if (worker === undefined) early.push(message)
    else worker.postMessage(message)
  }
  const channel = new Channel(send, options.handlers ?? {})
  const ready = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<void>()

  const start = (): Promise<void> => {
    worker = new Worker(module, {
      name: options.name,
      workerData: options.data,
      resourceLimits: { maxYoungGenerationSizeMb: 3, maxOldGenerationSizeMb: 256 },
    })
    worker.on('message', (message: Message) => {
      if (message.kind === 'ready') ready.resolve()
      else void channel.receive(message)
    })
    worker.on('error', (error: Error) => {
      channel.close(error)
      options.onDeath?.(error)
    })
    worker.on('exit', (status) => {
      ready.resolve()
      ended.resolve()
      const error = new CkptdError('unavailable', `the thread ${options.name} ended (${status})`)
      channel.close(error)
      if (!ending && status === 0) options.onDeath?.(error)
    })
    for (const message of early.splice(0)) worker.postMessage(message)
    return ready.promise
  }
  void oneAtATime(start)
  return {
    remote: channel.remote as unknown as Remote<H>,
    [Symbol.asyncDispose]: () =>
      oneAtATime(() => {
        ending = true
        send({ kind: 'stop' })
        return ended.promise
      }),
  }
}

/**
 * Threads begin and end one after another: a native module that several threads load or unload
 * at the same moment can corrupt the heap they share.
 */
let turn: Promise<void> = Promise.resolve()
function oneAtATime(work: () => Promise<void>): Promise<void> {
  const mine = turn.then(work)
  turn = mine.catch(() => undefined)
  return mine
}

/** How much lower the priority of threads that move bytes is than that of the thread that answers. */
const BULK_NICE = 5

/** Called once at the end of a thread's module: serves its handlers to the parent. */
export function serveThread<P extends Handlers>(handlers: Handlers): Remote<P> {
  const port: MessagePort | null = parentPort
  if (port === null) throw new Error('this module runs as a thread only')
  // On Linux this acts on the calling thread alone.
  setPriority(0, BULK_NICE)
  const channel = new Channel((message) => port.postMessage(message), handlers)
  port.on('message', (message: Message) => void channel.receive(message))
  port.postMessage({ kind: 'ready' } satisfies Message)
  return channel.remote as unknown as Remote<P>
}
