import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import { CkptdError, type ErrorCode } from '../../src/model/errors.ts'

export interface FakeDaemon extends AsyncDisposable {
  readonly socket: string
  /** `METHOD /path?query` of every request, and what was in its body. */
  readonly requests: { readonly line: string; readonly body: unknown }[]
  stop(): Promise<void>
  /** Begins again, on the same socket, after `stop`. */
  restart(): Promise<void>
}

/** A real HTTP server on a real unix socket, with the routes a test gives it. */
export async function startFakeDaemon(routes: (app: FastifyInstance) => void): Promise<FakeDaemon> {
  const directory = await mkdtemp(join(tmpdir(), 'ckpt-test-'))
  const socket = join(directory, 'ckptd.sock')
  const requests: { line: string; body: unknown }[] = []
  const start = async (): Promise<FastifyInstance> => {
    const app = fastify({ forceCloseConnections: true })
    app.addHook('preHandler', (request, _reply, done) => {
      requests.push({ line: `${request.method} ${request.url}`, body: request.body })
      done()
    })
    app.setErrorHandler((error, _request, reply) => sendError(reply, error))
    routes(app)
    await app.listen({ path: socket })
    return app
  }
  let app = await start()
  return {
    socket,
    requests,
    stop: () => app.close(),
    async restart() {
      app = await start()
    },
    async [Symbol.asyncDispose]() {
      await app.close()
      await rm(directory, { recursive: true })
    },
  }
}

function sendError(reply: FastifyReply, error: unknown): FastifyReply {
  if (!(error instanceof CkptdError)) return reply.code(500).send(String(error))
  const { code, status, message, hint, retryable, details } = error
  return reply
    .code(status)
    .header('content-type', 'application/json')
    .send({ errorMessage: message, message, code, hint, retryable, details })
}

export function refuse(code: ErrorCode, message: string): never {
  throw new CkptdError(code, message)
}

/** An NDJSON answer of these events. */
export function sendEvents(
  reply: FastifyReply,
  events: Iterable<unknown> | AsyncIterable<unknown>,
): FastifyReply {
  const lines = async function* (): AsyncGenerator<string> {
    for await (const event of events) yield `${JSON.stringify(event)}\n`
  }
  return reply.header('content-type', 'application/x-ndjson').send(Readable.from(lines()))
}
