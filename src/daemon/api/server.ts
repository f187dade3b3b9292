import swagger from '@fastify/swagger'
import { type TypeBoxTypeProvider, TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox'
import Fastify, { type FastifyBaseLogger, type FastifyReply, LogController } from 'fastify'
import { CkptdError } from '../../model/errors.ts'
import type { Context } from '../context.ts'
import { describeSchemaErrors } from '../schema-error.ts'
import type { Api } from './api.ts'
import { checkpointRoutes } from './checkpoint-routes.ts'
import { errorAnswer } from './error-answer.ts'
import { hostRoutes } from './host-routes.ts'
import { jobRoutes } from './job-routes.ts'
import { openapiOptions } from './openapi.ts'
import { verifyRoutes } from './verify-routes.ts'

/** One request's body: a job with 64 checkpoints fits many times. */
const MAX_BODY_BYTES = 1024 * 1024

/**
 * The REST API. Bodies are exactly `application/json`, since the trainML client takes no
 * parameter after it, and GET and DELETE may carry the body `null`.
 */
export async function createServer(context: Context): Promise<Api> {
  const loggerInstance: FastifyBaseLogger = context.log
  const server = Fastify({
    loggerInstance,
    bodyLimit: MAX_BODY_BYTES,
    logController: new LogController({ disableRequestLogging: true }),
    // Whoever asks while it stops gets an error of the table instead.
    return503OnClosing: false,
    routerOptions: { maxParamLength: 1000 },
    // A URL of which no route can be told: neither its hooks nor its error handler run.
    frameworkErrors: (error, _request, reply: FastifyReply) => {
      const { status, body } = errorAnswer(error)
      void reply.status(status).type('application/json').send(JSON.stringify(body))
    },
  }).withTypeProvider<TypeBoxTypeProvider>()
  server.setValidatorCompiler(TypeBoxValidatorCompiler)
  server.setSchemaErrorFormatter((errors, part) => {
    const { path, problem } = describeSchemaErrors(errors)
    const what = part === 'querystring' ? 'query' : part === 'params' ? 'address' : part
    const subject = path === '' ? `the ${what}` : `"${path}" in the ${what}`
    return new CkptdError('invalid_request', `Invalid Request - ${subject} ${problem}`)
  })
  server.setSerializerCompiler(() => (body) => JSON.stringify(body))
  server.removeContentTypeParser('application/json')
  server.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    if (body === '' || body === 'null') return done(null, undefined)
    try {
      done(null, JSON.parse(body as string))
    } catch {
      done(new CkptdError('invalid_request', 'Invalid Request - the body is not valid JSON'))
    }
  })
  server.addHook('onRequest', (_request, _reply, done) => {
    done(context.stopping.aborted ? (context.stopping.reason as CkptdError) : undefined)
  })
  server.addHook('onSend', (_request, reply, payload, done) => {
    if (context.stopping.aborted) reply.header('connection', 'close')
    if (reply.getHeader('content-type') === 'application/json; charset=utf-8')
      reply.header('content-type', 'application/json')
    done(null, payload)
  })
  server.setErrorHandler((error, request, reply) => {
    const { status, body } = errorAnswer(error)
    // What passes by itself (a stop, a helper that is away) needs no operator.
    if (status >= 500 && !body.retryable)
      request.log.error({ err: error, url: request.url }, 'a request failed')
    return reply.status(status).send(body)
  })
  server.setNotFoundHandler((request, reply) => {
    const { status, body } = errorAnswer(
      new CkptdError(
        'not_found',
        `there is no ${request.method} ${request.url.split('?')[0] ?? ''}`,
      ),
    )
    return reply.status(status).send(body)
  })
  await server.register(swagger, openapiOptions(context.version))
  await server.register((api) => checkpointRoutes(api, context))
  await server.register((api) => jobRoutes(api, context))
  await server.register((api) => hostRoutes(api, context))
  await server.register((api) => verifyRoutes(api, context))
  server.get('/openapi.json', { schema: { hide: true } }, () => server.swagger())
  return server
}

/** How long a caller gets to take its answer once the daemon stops. */
const LAST_ANSWERS_MS = 5_000
const LOOK_FOR_IDLE_MS = 20

/** Accepts no more connections, and ends each when its answer is out. */
export async function closeServer(server: Api): Promise<void> {
  const idle = setInterval(() => server.server.closeIdleConnections(), LOOK_FOR_IDLE_MS)
  const rest = setTimeout(() => server.server.closeAllConnections(), LAST_ANSWERS_MS)
  try {
    await server.close()
  } finally {
    clearInterval(idle)
    clearTimeout(rest)
  }
}
