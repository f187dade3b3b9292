import type { Agent, Dispatcher } from 'undici'

/** Names in lower case; of a repeated header the first value. */
export type Headers = Readonly<Record<string, string | undefined>>

/** One answer whose body waits until somebody takes it. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  /** Hands every piece of the body to `sink`; what `sink` throws ends the exchange. */
  drain(sink: (chunk: Buffer) => void): Promise<void>
  pause(): void
  resume(): void
  /** The body is not wanted. A short one is read to its end, so that the connection lives on. */
  discard(): void
}

/** Longer bodies that nobody wants cost more than a new connection, in bytes. */
const MAX_DISCARDED_BYTES = 64 * 1024

/** Sends one GET and resolves with the head of its answer. */
export function exchange(
  agent: Agent,
  url: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const handler = answerHandler(signal, resolve, reject)
    try {
      signal.throwIfAborted()
      agent.dispatch(
        {
          origin: url.origin,
          path: `${url.pathname}${url.search}`,
          method: 'GET',
          headers: { ...headers },
        },
        handler,
      )
    } catch (error) {
      handler.onResponseError?.(undefined as never, error as Error)
    }
  })
}

function answerHandler(
  signal: AbortSignal,
  resolve: (answer: Answer) => void,
  reject: (error: Error) => void,
): Dispatcher.DispatchHandler {
  let controller: Dispatcher.DispatchController | undefined
  let sink: ((chunk: Buffer) => void) | undefined
  /** What arrives in spite of the pause when the server closes the connection. */
  const early: Buffer[] = []
  const body = Promise.withResolvers<void>()
  // It may fail while nobody drains it.
  body.promise.catch(() => undefined)

  const abort = (): void => {
    const reason = signal.reason instanceof Error ? signal.reason : new Error('aborted')
    controller?.abort(reason)
    reject(reason)
    body.reject(reason)
  }
  const settle = (): void => signal.removeEventListener('abort', abort)
  signal.addEventListener('abort', abort, { once: true })

  const answer = (status: number, headers: Headers): Answer => ({
    status,
    headers,
    drain: (take) => {
      sink = take
      try {
        for (const chunk of early.splice(0)) take(chunk)
        controller?.resume()
      } catch (error) {
        controller?.abort(error as Error)
        body.reject(error)
      }
      return body.promise
    },
    pause: () => controller?.pause(),
    resume: () => controller?.resume(),
    discard: () => {
      early.length = 0
      sink = () => undefined
      if (Number(headers['content-length'] ?? Infinity) <= MAX_DISCARDED_BYTES) controller?.resume()
      else controller?.abort(new Error('the body is not wanted'))
    },
  })

  return {
    onRequestStart: (started) => {
      controller = started
      if (signal.aborted) abort()
    },
    onResponseStart: (started, status, headers) => {
      if (status < 200) return
      started.pause()
      resolve(answer(status, firstValues(headers)))
    },
    onResponseData: (_, chunk) => {
      if (sink === undefined) early.push(chunk)
      else {
        sink(chunk)
        if (controller?.paused !== true) free(chunk)
      }
    },
    onResponseEnd: () => {
      settle()
      body.resolve()
    },
    onResponseError: (_, error) => {
      settle()
      reject(error)
      body.reject(error)
    },
  }
}

/**
 * Gives the memory of a piece that was used back at once. Left to the garbage collector, the
 * buffers of a fast download pile up to a hundred megabytes and more. Only a buffer that holds
 * nothing but this piece is freed: then the client has no more use for it either.
 */
function free(chunk: Buffer): void {
  const { buffer } = chunk
  if (buffer instanceof ArrayBuffer && chunk.length === buffer.byteLength) buffer.transfer(0)
}

function firstValues(headers: Record<string, string | string[] | undefined>): Headers {
  const values: Record<string, string | undefined> = {}
  for (const [name, value] of Object.entries(headers))
    values[name] = Array.isArray(value) ? value[0] : value
  return values
}
