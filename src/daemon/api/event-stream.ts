import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { errorBody, toCkptdError } from './error-answer.ts'

/**
 * Answers with NDJSON: a JSON object a line. An error, too, is a line, the last one. The signal
 * given to `events` is aborted when the caller hangs up; the work goes on without listeners.
 */
export function sendEvents(
  reply: FastifyReply,
  events: (signal: AbortSignal) => AsyncIterable<unknown>,
): FastifyReply {
  const controller = new AbortController()
  reply.raw.on('close', () => controller.abort())
  async function* lines(): AsyncGenerator<string> {
    try {
      for await (const event of events(controller.signal)) yield `${JSON.stringify(event)}\n`
    } catch (error) {
      if (!controller.signal.aborted)
        yield `${JSON.stringify({ type: 'error', error: errorBody(toCkptdError(error)) })}\n`
    }
  }
  return reply.type('application/x-ndjson').send(Readable.from(lines()))
}
