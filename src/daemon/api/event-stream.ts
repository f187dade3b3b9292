import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import type { Context } from '../context.ts'
import { errorBody, toCkptdError } from './error-answer.ts'

/**
 * Answers with NDJSON: a JSON object a line. An error, too, is a line, the last one. The signal
 * given to `events` is aborted when the caller hangs up and when the daemon stops; `events` ends
 * at once then, and the work goes on without listeners.
 */
export function sendEvents(
  { stopping }: Pick<Context, 'stopping'>,
  reply: FastifyReply,
  events: (signal: AbortSignal) => AsyncIterable<unknown>,
): FastifyReply {
  const hungUp = new AbortController()
  reply.raw.on('close', () => hungUp.abort())
  const signal = AbortSignal.any([hungUp.signal, stopping])
  async function* lines(): AsyncGenerator<string> {
    try {
      for await (const event of events(signal)) yield `${JSON.stringify(event)}\n`
    } catch (error) {
      if (hungUp.signal.aborted) return
      const known = toCkptdError(stopping.aborted ? stopping.reason : error)
      yield `${JSON.stringify({ type: 'error', error: errorBody(known) })}\n`
    }
  }
  return reply.type('application/x-ndjson').send(Readable.from(lines()))
}
