import { Pool } from 'undici'
import { CommandError } from '../command-error.ts'
import { connectionError } from './connection-error.ts'
import { errorAnswer } from './error-answer.ts'
import { parseNdjson } from './ndjson.ts'

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'

interface Call {
  readonly method: Method
  /** Beginning with "/"; parts that come from outside are percent-encoded already. */
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean>>
  readonly body?: Readonly<Record<string, unknown>>
  readonly signal?: AbortSignal
}

/**
 * Calls of one project over the daemon's socket: every call names it in its query. Answers are taken to be what the schemas say: the daemon
 * checks them, and both programs are installed together.
 */
export interface ApiClient extends AsyncDisposable {
  readonly project: string
  /** Throws CommandError for every answer of 400 and above, and where there is none. */
  request<T>(call: Call): Promise<{ readonly httpStatus: number; readonly value: T }>
  /** The lines of an NDJSON answer. Leaving the loop hangs up, which cancels nothing. */
  stream<T>(call: Call): AsyncGenerator<T, void, undefined>
}

/** Longer than any answer is held back on purpose (`?wait=`); after it the daemon counts as stuck. */
const ANSWER_TIMEOUT_MS = 120_000

export function openApiClient(socketPath: string, project: string): ApiClient {
  const pool = new Pool('http://ckptd', { socketPath, headersTimeout: ANSWER_TIMEOUT_MS })

  const send = async (call: Call, accept: string): ReturnType<Pool['request']> => {
    const { body } = call
    try {
      return await pool.request({
        method: call.method,
        path: call.path,
        query: { project_uuid: project, ...call.query },
        headers: {
          accept,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        body: body === undefined ? null : JSON.stringify(body),
        // A stream may be silent for as long as its work waits for somebody.
        bodyTimeout: 0,
        signal: call.signal ?? null,
      })
    } catch (error) {
      call.signal?.throwIfAborted()
      throw connectionError(socketPath, error)
    }
  }

  /** Reads from an answer; what breaks it off is an unreachable daemon, not a fault of ours. */
  const reading = async <T>(call: Call, read: () => T | Promise<T>): Promise<T> => {
    try {
      return await read()
    } catch (error) {
      call.signal?.throwIfAborted()
      if (error instanceof SyntaxError)
        throw new CommandError('failure', 'the daemon’s answer is no JSON', { cause: error })
      throw connectionError(socketPath, error)
    }
  }

  return {
    project,
    async request<T>(call: Call) {
      const answer = await send(call, 'application/json')
      const text = await reading(call, () => answer.body.text())
      if (answer.statusCode >= 400) throw errorAnswer(answer.statusCode, text)
      const value = await reading(call, () => JSON.parse(text) as T)
      return { httpStatus: answer.statusCode, value }
    },
    async *stream<T>(call: Call) {
      const answer = await send(call, 'application/x-ndjson')
      if (answer.statusCode >= 400)
        throw errorAnswer(answer.statusCode, await reading(call, () => answer.body.text()))
      const lines = parseNdjson(answer.body)
      try {
        for (;;) {
          const line = await reading(call, () => lines.next())
          if (line.done === true) return
          yield line.value as T
        }
      } finally {
        answer.body.destroy()
      }
    },
    async [Symbol.asyncDispose]() {
      await pool.destroy()
    },
  }
}
