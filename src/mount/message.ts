import { type Static, type TSchema, Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { CkptdError, type ErrorRecord, isErrorCode } from '../model/errors.ts'
import { type Answer, type Params, VERBS, type Verb } from './protocol.ts'

const RequestEnvelope = Type.Object(
  {
    id: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
    verb: Type.String({ maxLength: 64 }),
    params: Type.Object({}),
  },
  { additionalProperties: false },
)
export type Request = Static<typeof RequestEnvelope>

const AnswerEnvelope = Type.Object({
  id: Type.Integer(),
  answer: Type.Optional(Type.Unknown()),
  error: Type.Optional(
    Type.Object({
      code: Type.String(),
      message: Type.String(),
      details: Type.Record(Type.String(), Type.Unknown()),
    }),
  ),
})

const requestEnvelope = Compile(RequestEnvelope)
const answerEnvelope = Compile(AnswerEnvelope)

interface Check {
  Check(value: unknown): boolean
  Errors(value: unknown): { instancePath: string; message: string }[]
}
const compile = (schema: TSchema): Check => Compile(schema)
const verbChecks = Object.fromEntries(
  Object.entries(VERBS).map(([verb, schema]) => [
    verb,
    { params: compile(schema.params), answer: compile(schema.answer) },
  ]),
) as Record<Verb, { params: Check; answer: Check }>

function readJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw new CkptdError('invalid_request', 'a message is no JSON', { cause })
  }
}

/** Reads a request's envelope; a line that is none is grounds to end the connection. */
export function parseRequest(line: string): Request {
  const value = readJson(line)
  if (!requestEnvelope.Check(value))
    throw new CkptdError('invalid_request', 'a message is no request: id, verb and params expected')
  return value
}

export function isVerb(verb: string): verb is Verb {
  return Object.hasOwn(VERBS, verb)
}

export function parseParams<V extends Verb>(verb: V, params: unknown): Params<V> {
  const check = verbChecks[verb].params
  if (check.Check(params)) return params as Params<V>
  const [first] = check.Errors(params)
  throw new CkptdError(
    'invalid_request',
    `${verb}: ${first?.instancePath ?? ''} ${first?.message ?? 'is refused'}`,
  )
}

export interface Reply {
  readonly id: number
  readonly answer?: unknown
  readonly error?: ErrorRecord
}

/** Reads an answer's envelope; what `answer` holds is checked by `parseAnswer`. */
export function parseReply(line: string): Reply {
  const value = readJson(line)
  if (!answerEnvelope.Check(value))
    throw new CkptdError('internal', 'the mount helper sent a message that is no answer')
  const { id, answer, error } = value
  if (error === undefined) return { id, answer }
  const code = isErrorCode(error.code) ? error.code : 'internal'
  return { id, error: { ...error, code } }
}

export function parseAnswer<V extends Verb>(verb: V, answer: unknown): Answer<V> {
  if (verbChecks[verb].answer.Check(answer)) return answer as Answer<V>
  throw new CkptdError('internal', `the mount helper’s answer to ${verb} is not what was agreed`)
}
