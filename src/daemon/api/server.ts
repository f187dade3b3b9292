import swagger from '@fastify/swagger'
import { type TypeBoxTypeProvider, TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox'
import Fastify, { type FastifyBaseLogger } from 'fastify'
import { CkptdError } from '../../model/errors.ts'
import type { Context } from '../context.ts'
import type { Api } from './api.ts'
import { checkpointRoutes } from './checkpoint-routes.ts'
import { errorAnswer } from './error-answer.ts'
import { hostRoutes } from './host-routes.ts'
import { jobRoutes } from './job-routes.ts'
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
    disableRequestLogging: true,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 1000 },
  }).withTypeProvider<TypeBoxTypeProvider>()
  server.setValidatorCompiler(TypeBoxValidatorCompiler)
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
  server.addHook('onSend', (_request, reply, payload, done) => {
    if (reply.getHeader('content-type') === 'application/json; charset=utf-8')
      reply.header('content-type', 'application/json')
    done(null, payload)
  })
  server.setErrorHandler((error, request, reply) => {
    const { status, body } = errorAnswer(error)
    if (status >= 500) request.log.error({ err: error, url: request.url }, 'a request failed')
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
  await server.register(swagger, {
    openapi: { info: { title: 'ckptd', version: context.version } },
    refResolver: {
      buildLocalReference: (json, _base, _fragment, i) =>
        typeof json['$id'] === 'string' ? json['$id'] : `schema-${i}`,
    },
  })
  await server.register((api) => checkpointRoutes(api, context))
  await server.register((api) => jobRoutes(api, context))
  await server.register((api) => hostRoutes(api, context))
  await server.register((api) => verifyRoutes(api, context))
  server.get('/openapi.json', { schema: { hide: true } }, () => server.swagger())
  return server
}
