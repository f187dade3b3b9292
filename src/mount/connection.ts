import { connect } from 'node:net'
import { CkptdError, fromErrorRecord } from '../model/errors.ts'
import { readLines } from './lines.ts'
import { parseAnswer, parseReply } from './message.ts'
import {
  type Answer,
  MAX_ANSWER_BYTES,
  type Params,
  PROTOCOL_VERSION,
  type Verb,
} from './protocol.ts'

/** Requests sent and not answered; further ones wait their turn on this side. */
const MAX_SENT = 64
/** Requests waiting: more than a host has workers to mount at once. */
const MAX_WAITING = 4096

/** One connection to the helper, from its first byte to its end. */
export interface Connection {
  call<V extends Verb>(verb: V, params: Params<V>): Promise<Answer<V>>
  /** Ends it; `onEnd` is called as for any other end. */
  close(): void
}

interface Call {
  readonly text: string
  readonly settle: (answer: unknown) => void
  readonly fail: (error: CkptdError) => void
}

export function openConnection(options: {
  socketPath: string
  onReady: () => void
  onEnd: (reason: string) => void
}): Connection {
  const socket = connect({ path: options.socketPath })
  const sent = new Map<number, Call>()
  const waiting: { id: number; call: Call }[] = []
  let nextId = 0
  let ended: string | undefined

  const end = (reason: string): void => {
    if (ended !== undefined) return
    ended = reason
    socket.destroy()
    const error = new CkptdError('mounts_unavailable', reason)
    for (const call of sent.values()) call.fail(error)
    for (const { call } of waiting) call.fail(error)
    sent.clear()
    waiting.length = 0
    options.onEnd(reason)
  }
  const send = (): void => {
    while (sent.size < MAX_SENT) {
      const next = waiting.shift()
      if (next === undefined) return
      sent.set(next.id, next.call)
      socket.write(next.call.text)
    }
  }
  const call = <V extends Verb>(verb: V, params: Params<V>): Promise<Answer<V>> => {
    if (ended !== undefined) return Promise.reject(new CkptdError('mounts_unavailable', ended))
    if (waiting.length >= MAX_WAITING)
      return Promise.reject(new CkptdError('unavailable', 'too many mounts are asked for at once'))
    const id = nextId++
    return new Promise<unknown>((resolve, reject) => {
      const text = `${JSON.stringify({ id, verb, params })}\n`
      waiting.push({ id, call: { text, settle: resolve, fail: reject } })
      send()
    }).then((answer) => parseAnswer(verb, answer))
  }

  socket.on('error', ({ message }) => end(`the mount helper cannot be reached: ${message}`))
  socket.on('close', () => end('the mount helper closed the connection'))
  readLines(socket, {
    maxBytes: MAX_ANSWER_BYTES,
    onTooLong: () => end('the mount helper sent too long an answer'),
    onLine: (line) => {
      try {
        const { id, answer, error } = parseReply(line)
        const pending = sent.get(id)
        sent.delete(id)
        if (error === undefined) pending?.settle(answer)
        else pending?.fail(fromErrorRecord(error))
        send()
      } catch (error) {
        end(error instanceof Error ? error.message : String(error))
      }
    },
  })
  // Sent before anything else; a refusal at the door is answered to it, too: it has the id 0.
  call('hello', { protocol: PROTOCOL_VERSION }).then(options.onReady, (error: Error) =>
    end(error.message),
  )
  return { call, close: () => end('the connection to the mount helper was closed') }
}
